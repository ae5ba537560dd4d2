import { TEARDOWN_KEY } from './global-setup.ts';

/** Jest's global teardown: stops the shared servers and removes their data. */
export default async function tearDown(): Promise<void> {
  const stop: unknown = Reflect.get(globalThis, TEARDOWN_KEY);
  if (typeof stop === 'function') await stop();
}
