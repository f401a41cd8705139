const { globalSetup, globalTeardown, ...tests } = require('./jest.config.js');

/** Fuzzing needs no services. */
module.exports = { ...tests, testMatch: ['<rootDir>/test/fuzz/*.test.ts'] };
