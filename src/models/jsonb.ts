/**
 * JSON that PostgreSQL's `jsonb` takes, whatever texts are in it: it refuses NUL and halves of surrogate pairs (the manual,
 * JSON Types), which an error may quote from upstream, or make by cutting a text off. U+FFFD stands for them.
 */
export function toJsonb(value: unknown): string {
  return JSON.stringify(value, (_key, each: unknown) =>
    typeof each === 'string' ? each.replace(/[\0\p{Surrogate}]/gu, '\uFFFD') : each,
  );
}
