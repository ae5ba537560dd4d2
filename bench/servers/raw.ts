import cluster from 'node:cluster';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

/**
 * The yardstick: `node:http` that answers a constant buffer, the content of the file named on the command line. A number
 * behind it is that of the workers of `node:cluster`.
 */
const [file = '', workers = '0'] = process.argv.slice(2);

if (cluster.isPrimary && workers !== '0') {
  for (let count = 0; count < Number(workers); count += 1) cluster.fork();
  process.on('SIGTERM', () => {
    for (const worker of Object.values(cluster.workers ?? {})) worker?.kill();
    process.exit(0);
  });
} else {
  const body = readFileSync(file);
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length });
    response.end(body);
  });
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    console.log(`listening on ${typeof address === 'object' ? address?.port : ''}`);
  });
}
