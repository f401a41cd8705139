export { cleanStorage } from './clean-storage';
export { repairArtifacts } from './repair-artifacts';
export { syncRepository } from './sync-repository';
