/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'node',
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  transform: { '^.+\\.ts$': ['@swc/jest', { jsc: { target: 'es2023', parser: { syntax: 'typescript' } } }] },
  globalSetup: '<rootDir>/test/services/start.ts',
  globalTeardown: '<rootDir>/test/services/stop.ts',
  testTimeout: 60_000,
  maxWorkers: 2,
};
