import { DataTypes, Model } from 'sequelize';
import type { CreationOptional, InferAttributes, InferCreationAttributes, Sequelize } from 'sequelize';

import { digestNames } from '../downloads/digests';

// Sequelize writes into the attributes that it is given, so each model gets its own.
const id = () => ({ type: DataTypes.BIGINT, primaryKey: true, autoIncrement: true });
const required = () => ({ type: DataTypes.TEXT, allowNull: false });
const digestColumns = () => Object.fromEntries(digestNames.map((name) => [name, DataTypes.TEXT]));

/** One unit of content, of any type; the table of its type holds its natural key. */
export class Content extends Model<InferAttributes<Content>, InferCreationAttributes<Content>> {
  declare id: CreationOptional<string>;
  declare type: string;
  declare createdAt: CreationOptional<Date>;
}

/** One stored file, identified by its digests. */
export class Artifact extends Model<InferAttributes<Artifact>, InferCreationAttributes<Artifact>> {
  declare id: CreationOptional<string>;
  declare sha256: string;
  /** Bytes; a string, as it may pass 2^53. */
  declare size: string;
  declare createdAt: CreationOptional<Date>;
}

/** Ties a content to an artifact under a relative path; the artifact is null when it was never downloaded. */
export class ContentArtifact extends Model<InferAttributes<ContentArtifact>, InferCreationAttributes<ContentArtifact>> {
  declare id: CreationOptional<string>;
  declare contentId: string;
  declare artifactId: string | null;
  declare relativePath: string;
}

/** Where the file of a content artifact can be fetched. */
export class RemoteArtifact extends Model<InferAttributes<RemoteArtifact>, InferCreationAttributes<RemoteArtifact>> {
  declare id: CreationOptional<string>;
  declare contentArtifactId: string;
  declare remoteId: string;
  declare urls: string[];
  declare size: string | null;
}

/** Binds the models of contents and artifacts. */
export function initContentModels(sequelize: Sequelize): void {
  const untimed = { sequelize, timestamps: false } as const;
  const created = { sequelize, updatedAt: false } as const;

  Content.init({ id: id(), type: required(), createdAt: DataTypes.DATE }, { ...created, tableName: 'contents' });
  Artifact.init(
    {
      id: id(),
      ...digestColumns(),
      sha256: required(),
      size: { type: DataTypes.BIGINT, allowNull: false },
      createdAt: DataTypes.DATE,
    },
    { ...created, tableName: 'artifacts' },
  );
  ContentArtifact.init(
    {
      id: id(),
      contentId: { type: DataTypes.BIGINT, allowNull: false },
      artifactId: DataTypes.BIGINT,
      relativePath: required(),
    },
    { ...untimed, tableName: 'content_artifacts' },
  );
  RemoteArtifact.init(
    {
      id: id(),
      contentArtifactId: { type: DataTypes.BIGINT, allowNull: false },
      remoteId: { type: DataTypes.BIGINT, allowNull: false },
      urls: { type: DataTypes.ARRAY(DataTypes.TEXT), allowNull: false },
      size: DataTypes.BIGINT,
      ...digestColumns(),
    },
    { ...untimed, tableName: 'remote_artifacts' },
  );

  ContentArtifact.belongsTo(Content, { as: 'content', foreignKey: 'contentId' });
  ContentArtifact.belongsTo(Artifact, { as: 'artifact', foreignKey: 'artifactId' });
  ContentArtifact.hasMany(RemoteArtifact, { as: 'remoteArtifacts', foreignKey: 'contentArtifactId' });
}
