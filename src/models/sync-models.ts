import { DataTypes, Model } from 'sequelize';
import type { CreationOptional, InferAttributes, InferCreationAttributes, NonAttribute, Sequelize } from 'sequelize';

import { Repository, RepositoryVersion } from './repository-models';

/**
 * `running`: a workflow works on it. `failed`, `canceled`: it stopped and owns an incomplete version, inside which the next
 * sync goes on. `completed`: over, with or without a new version. `skipped`: nothing changed upstream. `discarded`: thrown
 * away together with its version.
 */
export type SyncState = 'running' | 'failed' | 'canceled' | 'completed' | 'skipped' | 'discarded';
export type SyncMode = 'additive' | 'mirror';

/** Why a sync failed, as `sync show` prints it. */
export interface SyncFailure {
  readonly type: string;
  readonly message: string;
  readonly transient: boolean;
  readonly details?: unknown;
}

/** What a sync may ask of upstream in all. */
export interface SyncLimits {
  /** Requests at once. */
  readonly downloadConcurrency: number;
  /** Requests a second; `null`: no limit. */
  readonly rateLimit: number | null;
}

/** How many contents may be missing from a version: so many, or so many of a hundred that upstream declares. */
export type AllowedMissing = { readonly contents: number } | { readonly percent: number };

/** Since when, and why, a sync is paused. */
export interface SyncPause {
  readonly reason: string;
  /** ISO 8601. */
  readonly since: string;
}

/** The effort to make one version: begun once, resumed as often as needed. */
export class Sync extends Model<InferAttributes<Sync>, InferCreationAttributes<Sync>> {
  declare id: CreationOptional<string>;
  declare repositoryId: string;
  declare remoteId: string | null;
  declare versionId: string | null;
  declare state: SyncState;
  declare mode: SyncMode;
  declare policy: string;
  declare url: string;
  declare baseVersion: number;
  declare resultVersion: number | null;
  declare runs: CreationOptional<number>;
  declare workflowId: string;
  declare runId: string;
  declare downloaded: CreationOptional<number>;
  /** Bytes; a string, as it may pass 2^53. */
  declare downloadedBytes: CreationOptional<string>;
  declare paused: SyncPause | null;
  declare limits: SyncLimits | null;
  declare missing: CreationOptional<number>;
  declare error: SyncFailure | null;
  declare startedAt: CreationOptional<Date>;
  declare resumedAt: CreationOptional<Date>;
  declare finishedAt: Date | null;
  declare repository?: NonAttribute<Repository>;
  declare version?: NonAttribute<RepositoryVersion | null>;
  declare progress?: NonAttribute<SyncProgress[]>;
}

/** A line of progress, with pulpcore's codes and messages. Read from a view: live while the sync runs. */
export class SyncProgress extends Model<InferAttributes<SyncProgress>> {
  declare syncId: string;
  declare code: string;
  declare message: string;
  declare state: string;
  declare done: string;
  declare total: string | null;
  declare suffix: string | null;
}

/** A metadata file that a sync has fetched and reads again after a crash. */
export class SyncMetadata extends Model<InferAttributes<SyncMetadata>, InferCreationAttributes<SyncMetadata>> {
  declare syncId: string;
  declare url: string;
  declare sha256: string;
  declare size: string;
  declare etag: string | null;
  declare lastModified: string | null;
}

/** Binds the models of syncs. The staging tables have none: the stages work on them in SQL. */
export function initSyncModels(sequelize: Sequelize): void {
  const text = DataTypes.TEXT;
  Sync.init(
    {
      id: { type: DataTypes.BIGINT, primaryKey: true, autoIncrement: true },
      repositoryId: DataTypes.BIGINT,
      remoteId: DataTypes.BIGINT,
      versionId: DataTypes.BIGINT,
      state: text,
      mode: text,
      policy: text,
      url: text,
      baseVersion: DataTypes.INTEGER,
      resultVersion: DataTypes.INTEGER,
      runs: DataTypes.INTEGER,
      workflowId: text,
      runId: text,
      downloaded: DataTypes.INTEGER,
      downloadedBytes: DataTypes.BIGINT,
      paused: DataTypes.JSONB,
      limits: DataTypes.JSONB,
      missing: DataTypes.INTEGER,
      error: DataTypes.JSONB,
      startedAt: DataTypes.DATE,
      resumedAt: DataTypes.DATE,
      finishedAt: DataTypes.DATE,
    },
    { sequelize, timestamps: false, tableName: 'syncs' },
  );
  SyncProgress.init(
    {
      syncId: { type: DataTypes.BIGINT, primaryKey: true },
      code: { type: text, primaryKey: true },
      message: text,
      state: text,
      done: DataTypes.BIGINT,
      total: DataTypes.BIGINT,
      suffix: text,
    },
    { sequelize, timestamps: false, tableName: 'sync_progress' },
  );
  SyncMetadata.init(
    {
      syncId: { type: DataTypes.BIGINT, primaryKey: true },
      url: { type: text, primaryKey: true },
      sha256: text,
      size: DataTypes.BIGINT,
      etag: text,
      lastModified: text,
    },
    { sequelize, timestamps: false, tableName: 'sync_metadata' },
  );

  Sync.belongsTo(Repository, { as: 'repository', foreignKey: 'repositoryId' });
  Sync.belongsTo(RepositoryVersion, { as: 'version', foreignKey: 'versionId' });
  Sync.hasMany(SyncProgress, { as: 'progress', foreignKey: 'syncId' });
}
