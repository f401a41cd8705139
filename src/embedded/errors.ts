import { PenstockError } from '../errors';

/** A port that an embedded service needs is taken, or may not be used. */
export class PortUnavailable extends PenstockError {}

/** Another process of Penstock owns the embedded services of this data folder. */
export class ServicesAlreadyRunning extends PenstockError {
  override readonly transient = true;
}

/** What lies in the data folder cannot be used by this version of Penstock, or by this user. */
export class DataFolderUnusable extends PenstockError {}

/** An embedded service cannot be run here: its program is missing, or the system does not let it run. */
export class ServiceNotInstalled extends PenstockError {}

/** An embedded service did not start, or ended more often than it is started again. */
export class ServiceFailed extends PenstockError {}
