/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      { jsc: { target: 'es2024', parser: { syntax: 'typescript' } }, module: { type: 'es6' }, sourceMaps: 'inline' },
    ],
  },
  testMatch: ['<rootDir>/test/**/*.test.ts'],
  globalSetup: '<rootDir>/test/harness/global-setup.ts',
  globalTeardown: '<rootDir>/test/harness/global-teardown.ts',
  testTimeout: 30_000,
  // The machines this runs on have two cores, and the servers under test want some of them.
  maxWorkers: 2,
  collectCoverageFrom: ['src/**/*.ts', 'client/src/**/*.ts'],
  coverageReporters: ['text', 'json-summary'],
  coverageThreshold: {
    // The rest (entry, verbs, logs) runs in processes of its own in test/e2e, where Jest counts nothing.
    global: { statements: 55 },
    './src/realtime/': { statements: 100 },
    './src/cache/': { statements: 100 },
    './src/redis/': { statements: 100 },
    './src/database/': { statements: 100 },
    './src/resources/': { statements: 100 },
    './src/http/': { statements: 100 },
    './client/src/': { statements: 98 },
    './src/change-feed/': { statements: 95 },
  },
};
