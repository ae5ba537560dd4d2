/** Until hits are answered: the store is in use, and what was lost with an older one is settled. */
export async function settled(port: number, path = '/cache/posts/1'): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const response = await fetch(`http://127.0.0.1:${port}${path}`);
    await response.arrayBuffer();
    if (response.headers.get('cache-status')?.includes('hit') === true) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('the service does not come to answer hits');
}
