import { DataTypes, Model } from 'sequelize';
import type { CreationOptional, InferAttributes, InferCreationAttributes, NonAttribute, Sequelize } from 'sequelize';

/** When a remote's artifacts are downloaded: during the sync, at the first request, or never stored. */
export type Policy = 'immediate' | 'on_demand' | 'streamed';
export const policies: readonly Policy[] = ['immediate', 'on_demand', 'streamed'];

// Sequelize writes into the attributes that it is given, so each model gets its own.
const id = () => ({ type: DataTypes.BIGINT, primaryKey: true, autoIncrement: true });
const required = () => ({ type: DataTypes.TEXT, allowNull: false });

/** Where to sync from, and how. Its secrets are encrypted; `remote-secrets.ts` reads and writes them. */
export class Remote extends Model<InferAttributes<Remote>, InferCreationAttributes<Remote>> {
  declare id: CreationOptional<string>;
  declare name: string;
  declare type: string;
  declare url: string;
  declare policy: CreationOptional<Policy>;
  declare downloadConcurrency: CreationOptional<number>;
  declare maxRetries: CreationOptional<number>;
  /** Requests a second. */
  declare rateLimit: CreationOptional<number | null>;
  /** Seconds, as all timeouts here. */
  declare totalTimeout: CreationOptional<number | null>;
  declare connectTimeout: CreationOptional<number | null>;
  declare sockConnectTimeout: CreationOptional<number | null>;
  declare sockReadTimeout: CreationOptional<number | null>;
  declare tlsValidation: CreationOptional<boolean>;
  declare caCert: CreationOptional<string | null>;
  declare clientCert: CreationOptional<string | null>;
  declare proxyUrl: CreationOptional<string | null>;
  declare secrets: CreationOptional<Buffer | null>;
  declare createdAt: CreationOptional<Date>;
  declare updatedAt: CreationOptional<Date>;
}

/** A named, typed set of content. */
export class Repository extends Model<InferAttributes<Repository>, InferCreationAttributes<Repository>> {
  declare id: CreationOptional<string>;
  declare name: string;
  declare type: string;
  declare remoteId: string | null;
  /** So many of the newest complete versions are kept; null: all. */
  declare retainRepoVersions: CreationOptional<number | null>;
  declare createdAt: CreationOptional<Date>;
  declare updatedAt: CreationOptional<Date>;
  declare remote?: NonAttribute<Remote | null>;
  declare versions?: NonAttribute<RepositoryVersion[]>;
}

/** A numbered snapshot of a repository; readers see it once it is complete, and then it never changes. */
export class RepositoryVersion extends Model<
  InferAttributes<RepositoryVersion>,
  InferCreationAttributes<RepositoryVersion>
> {
  declare id: CreationOptional<string>;
  declare repositoryId: string;
  declare number: number;
  declare complete: boolean;
  declare createdAt: CreationOptional<Date>;
  declare completedAt: Date | null;
  /** Contents that upstream declared and that it does not hold, as its sync could not have them. */
  declare missing: CreationOptional<number>;
  declare counts?: NonAttribute<RepositoryVersionCount[]>;
  declare repository?: NonAttribute<Repository>;
}

/** How many contents of a type a version added, removed and holds. */
export class RepositoryVersionCount extends Model<
  InferAttributes<RepositoryVersionCount>,
  InferCreationAttributes<RepositoryVersionCount>
> {
  declare versionId: string;
  declare type: string;
  declare added: number;
  declare removed: number;
  declare present: number;
}

/** Content is in version n when `versionAdded` ≤ n and not `versionRemoved` ≤ n. */
export class RepositoryContent extends Model<
  InferAttributes<RepositoryContent>,
  InferCreationAttributes<RepositoryContent>
> {
  declare repositoryId: string;
  declare contentId: string;
  declare versionAdded: number;
  declare versionRemoved: number | null;
}

/** Binds the models of remotes, repositories and versions. */
export function initRepositoryModels(sequelize: Sequelize): void {
  const optional = DataTypes.TEXT;
  const seconds = DataTypes.DOUBLE;

  Remote.init(
    {
      id: id(),
      name: required(),
      type: required(),
      url: required(),
      policy: required(),
      downloadConcurrency: DataTypes.INTEGER,
      maxRetries: DataTypes.INTEGER,
      rateLimit: DataTypes.INTEGER,
      totalTimeout: seconds,
      connectTimeout: seconds,
      sockConnectTimeout: seconds,
      sockReadTimeout: seconds,
      tlsValidation: DataTypes.BOOLEAN,
      caCert: optional,
      clientCert: optional,
      proxyUrl: optional,
      secrets: DataTypes.BLOB,
      createdAt: DataTypes.DATE,
      updatedAt: DataTypes.DATE,
    },
    { sequelize, tableName: 'remotes' },
  );
  Repository.init(
    {
      id: id(),
      name: required(),
      type: required(),
      remoteId: DataTypes.BIGINT,
      retainRepoVersions: DataTypes.INTEGER,
      createdAt: DataTypes.DATE,
      updatedAt: DataTypes.DATE,
    },
    { sequelize, tableName: 'repositories' },
  );
  RepositoryVersion.init(
    {
      id: id(),
      repositoryId: DataTypes.BIGINT,
      number: DataTypes.INTEGER,
      complete: DataTypes.BOOLEAN,
      createdAt: DataTypes.DATE,
      completedAt: DataTypes.DATE,
      missing: DataTypes.INTEGER,
    },
    { sequelize, updatedAt: false, tableName: 'repository_versions' },
  );
  RepositoryVersionCount.init(
    {
      versionId: { type: DataTypes.BIGINT, primaryKey: true },
      type: { ...required(), primaryKey: true },
      added: DataTypes.INTEGER,
      removed: DataTypes.INTEGER,
      present: DataTypes.INTEGER,
    },
    { sequelize, timestamps: false, tableName: 'repository_version_counts' },
  );
  RepositoryContent.init(
    {
      repositoryId: { type: DataTypes.BIGINT, primaryKey: true },
      contentId: { type: DataTypes.BIGINT, primaryKey: true },
      versionAdded: { type: DataTypes.INTEGER, primaryKey: true },
      versionRemoved: DataTypes.INTEGER,
    },
    { sequelize, timestamps: false, tableName: 'repository_contents' },
  );

  Repository.belongsTo(Remote, { as: 'remote', foreignKey: 'remoteId' });
  Repository.hasMany(RepositoryVersion, { as: 'versions', foreignKey: 'repositoryId' });
  RepositoryVersion.belongsTo(Repository, { as: 'repository', foreignKey: 'repositoryId' });
  RepositoryVersion.hasMany(RepositoryVersionCount, { as: 'counts', foreignKey: 'versionId' });
}
