/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  transform: { '^.+\\.ts$': ['@swc/jest', { jsc: { target: 'es2023', parser: { syntax: 'typescript' } } }] },
  // A lazy import of ours names the file that it is built to.
  moduleNameMapper: { '^(\\.{1,2}/s3-storage)\\.js$': '$1' },
  globalSetup: '<rootDir>/test/services/start.ts',
  globalTeardown: '<rootDir>/test/services/stop.ts',
  testTimeout: 60_000,
  maxWorkers: 2,
};
