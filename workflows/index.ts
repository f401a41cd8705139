export { cleanStorage } from './clean-storage';
export { downloadVersion } from './download-version';
export { reclaimStorage } from './reclaim-storage';
export { refreshAlternateContentSource } from './refresh-alternate-content-source';
export { repairArtifacts } from './repair-artifacts';
export { syncRepository } from './sync-repository';
