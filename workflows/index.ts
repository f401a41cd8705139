export { syncRepository } from './sync-repository';
