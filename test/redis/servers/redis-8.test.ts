import { runRedisSuites } from './suites.ts';

await runRedisSuites('redis-8');
