const tests = require('./jest.config.js');

/** @type {import('jest').Config} */
module.exports = { ...tests, bail: 1, forceExit: true, testMatch: ['<rootDir>/test/replay/record.ts'] };
