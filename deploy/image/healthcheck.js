/**
 * `node healthcheck.js [path]`: ends with 0 when the service of this container answers the path with 200, else with 1.
 * Without a path it asks /livez. The image has no shell and no curl.
 */
const [path = '/livez'] = process.argv.slice(2);
const { HOST: host = '', PORT: port = '4000' } = process.env;
// Where the service listens everywhere, as it does by default, it listens on the loopback too.
const address = ['', '0.0.0.0', '::'].includes(host) ? '127.0.0.1' : host;
const url = `http://${address.includes(':') ? `[${address}]` : address}:${port}${path}`;
try {
  const { status } = await fetch(url, { signal: AbortSignal.timeout(2_500), headers: { connection: 'close' } });
  if (status !== 200) throw new Error(`answered ${status}`);
} catch (error) {
  console.error(`${url}: ${error.cause?.code ?? error.message}`);
  process.exitCode = 1;
}
