/** Resolves once `condition` holds; fails after `ms` milliseconds. For states that come by themselves, such as a reconnect. */
export async function eventually(condition: () => Promise<boolean>, ms = 10_000): Promise<void> {
  const giveUpAt = performance.now() + ms;
  while (!(await condition())) {
    if (performance.now() > giveUpAt) throw new Error(`what was waited for did not come within ${ms} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
