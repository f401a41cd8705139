import { DataTypes, Model } from 'sequelize';
import type { CreationOptional, InferAttributes, InferCreationAttributes, Sequelize } from 'sequelize';

/** What a distribution asks of its readers. */
export type Guard = 'token' | 'certificate';

/** A base path of the content app, and what is served there: a repository's newest complete version, one version, or nothing. */
export class Distribution extends Model<InferAttributes<Distribution>, InferCreationAttributes<Distribution>> {
  declare id: CreationOptional<string>;
  declare name: string;
  declare basePath: string;
  declare repositoryId: string | null;
  declare versionId: string | null;
  /** Null: everybody may read. */
  declare guard: Guard | null;
  /** PEM; there with the guard `certificate`, and only then. */
  declare clientCa: string | null;
  declare createdAt: CreationOptional<Date>;
  declare updatedAt: CreationOptional<Date>;
}

/** A secret that lets its bearer read a distribution; only its digest is known. */
export class DistributionToken extends Model<
  InferAttributes<DistributionToken>,
  InferCreationAttributes<DistributionToken>
> {
  declare id: CreationOptional<string>;
  declare distributionId: string;
  declare name: string;
  declare sha256: string;
  declare createdAt: CreationOptional<Date>;
  declare expiresAt: Date | null;
}

/** Binds the models of distributions. */
export function initDistributionModels(sequelize: Sequelize): void {
  // Sequelize writes into the attributes that it is given, so each model gets its own.
  const id = () => ({ type: DataTypes.BIGINT, primaryKey: true, autoIncrement: true });

  Distribution.init(
    {
      id: id(),
      name: DataTypes.TEXT,
      basePath: DataTypes.TEXT,
      repositoryId: DataTypes.BIGINT,
      versionId: DataTypes.BIGINT,
      guard: DataTypes.TEXT,
      clientCa: DataTypes.TEXT,
      createdAt: DataTypes.DATE,
      updatedAt: DataTypes.DATE,
    },
    { sequelize, tableName: 'distributions' },
  );
  DistributionToken.init(
    {
      id: id(),
      distributionId: DataTypes.BIGINT,
      name: DataTypes.TEXT,
      sha256: DataTypes.TEXT,
      createdAt: DataTypes.DATE,
      expiresAt: DataTypes.DATE,
    },
    { sequelize, updatedAt: false, tableName: 'distribution_tokens' },
  );
}
