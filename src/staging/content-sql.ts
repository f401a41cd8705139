import type { Column, ContentType } from '../plugins/content-type';

/** The value of a field of a staged unit, as the type of its column. */
export function stagedValue({ field, type }: Column, unit = 'unit'): string {
  const name = `'${field}'`;
  switch (type) {
    case 'text':
      return `${unit}.fields->>${name}`;
    case 'jsonb':
      return `nullif(${unit}.fields->${name}, 'null')`;
    case 'text[]':
      return `case when jsonb_typeof(${unit}.fields->${name}) = 'array' then array(select jsonb_array_elements_text(${unit}.fields->${name})) end`;
    default:
      return `(${unit}.fields->>${name})::${type}`;
  }
}

/**
 * Whether a staged unit and a row have the same natural key; null equals null. `is not distinct from` would use no index and
 * no hash, and a plain `=` is enough where null cannot be.
 */
export function sameNaturalKey({ naturalKey }: ContentType, row: string, unit = 'unit'): string {
  return naturalKey
    .map((column) => sameValue(column, `${row}.${column.name}`, stagedValue(column, unit)))
    .join(' and ');
}

/** Whether two expressions of a column have the same value; null equals null. */
export function sameValue({ nullable }: Column, one: string, other: string): string {
  return nullable ? `(${one} = ${other} or (${one} is null and ${other} is null))` : `${one} = ${other}`;
}

/** The natural key of a staged unit, as a list of expressions. */
export function stagedKey({ naturalKey }: ContentType, unit = 'unit'): string {
  return naturalKey.map((column) => stagedValue(column, unit)).join(', ');
}
