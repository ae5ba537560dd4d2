import { runRedisSuites } from './suites.ts';

await runRedisSuites('valkey');
