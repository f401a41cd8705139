import { DataTypes } from 'sequelize';
import type { Model, ModelStatic, Sequelize } from 'sequelize';

/** The PostgreSQL types of a content's fields; a `?` at the end allows null. */
export type FieldType = BaseFieldType | `${BaseFieldType}?`;
type BaseFieldType = 'text' | 'integer' | 'boolean' | 'jsonb' | 'text[]';
interface FieldValues {
  text: string;
  integer: number;
  boolean: boolean;
  jsonb: unknown;
  'text[]': readonly string[];
}
type ValueOf<T extends FieldType> = T extends `${infer B extends BaseFieldType}?`
  ? FieldValues[B] | null
  : T extends BaseFieldType
    ? FieldValues[T]
    : never;

export type FieldTypes = Readonly<Record<string, FieldType>>;
export type FieldsOf<T extends FieldTypes> = { readonly [K in keyof T]: ValueOf<T[K]> };

/** An unsaved content: what a first stage declares, as plain data. */
export interface DeclaredContent {
  readonly type: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A content's type and natural key, enough to refer to it. */
export interface ContentKey {
  readonly type: string;
  readonly key: Readonly<Record<string, unknown>>;
}

interface ContentDefinition<T extends FieldTypes> {
  /** `<plugin>.<type>`, as `file.file`. */
  readonly name: string;
  /** Its table: `content_id`, and a column for each field in snake case; made by a migration of the plugin. */
  readonly table: string;
  readonly fields: T;
  /** What identifies a content of this type. The table has a unique index over it in which null equals null. */
  readonly naturalKey: readonly (keyof T & string)[];
  /** What can be in a repository only once: adding another content with the same values evicts the older one. */
  readonly repositoryKey?: readonly (keyof T & string)[];
}

/** A field of a content type, as SQL needs it. */
export interface Column {
  readonly field: string;
  readonly name: string;
  readonly type: BaseFieldType;
  readonly nullable: boolean;
}

/** A content type: declares contents, and knows its table. */
export class ContentType<T extends FieldTypes = FieldTypes> {
  readonly name: string;
  readonly table: string;
  readonly columns: readonly Column[];
  readonly naturalKey: readonly Column[];
  readonly repositoryKey: readonly Column[];

  constructor({ name, table, fields, naturalKey, repositoryKey = [] }: ContentDefinition<T>) {
    this.name = name;
    this.table = table;
    this.columns = Object.entries(fields).map(([field, type]) => ({
      field,
      name: snakeCase(field),
      type: type.replace('?', '') as BaseFieldType,
      nullable: type.endsWith('?'),
    }));
    const columnsOf = (names: readonly string[]) => {
      const unknown = names.find((each) => !Object.hasOwn(fields, each));
      if (unknown !== undefined)
        throw new Error(`Content type "${name}": its key names "${unknown}", which is no field.`);
      return this.columns.filter(({ field }) => names.includes(field));
    };
    if (naturalKey.length === 0) throw new Error(`Content type "${name}": it has no natural key.`);
    this.naturalKey = columnsOf(naturalKey);
    this.repositoryKey = columnsOf(repositoryKey);
  }

  declare(fields: FieldsOf<T>): DeclaredContent {
    return { type: this.name, fields };
  }

  /** Refers to a content of this type by its natural key. */
  key(key: Partial<FieldsOf<T>>): ContentKey {
    return { type: this.name, key };
  }

  /** Its Sequelize model, for the small queries of the command line and the API. */
  model(sequelize: Sequelize): ModelStatic<Model> {
    const dataTypes = {
      text: DataTypes.TEXT,
      integer: DataTypes.INTEGER,
      boolean: DataTypes.BOOLEAN,
      jsonb: DataTypes.JSONB,
      'text[]': DataTypes.ARRAY(DataTypes.TEXT),
    };
    return sequelize.define(
      this.name,
      {
        contentId: { type: DataTypes.BIGINT, primaryKey: true },
        ...Object.fromEntries(
          this.columns.map(({ field, type, nullable }) => [field, { type: dataTypes[type], allowNull: nullable }]),
        ),
      },
      { tableName: this.table, timestamps: false },
    );
  }
}

/** Defines a content type; the field types give the TypeScript type of what `declare` takes. */
export function defineContent<const T extends FieldTypes>(definition: ContentDefinition<T>): ContentType<T> {
  return new ContentType(definition);
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
