/**
 * PM2 on a plain host: two instances, on the ports 4000 and 4001, behind nginx (deploy/nginx/energex-cache.conf with these
 * addresses). docs/deployment.md says more. Settings and secrets stand in `.env` beside this file, or in the environment of PM2.
 *
 *   npm ci && npm run build && pm2 start ecosystem.config.cjs
 *   pm2 reload energex-cache    # one after the other, while the other one answers
 *
 * Not `exec_mode: 'cluster'`: PM2 gives each request to any of its processes, and a session of Socket.IO by long polling is
 * many requests for one. For more processors: `args: 'serve --workers 2'`, whose processes hand such requests over.
 */
module.exports = {
  apps: [
    {
      name: 'energex-cache',
      cwd: __dirname,
      script: 'dist/main.js',
      args: 'serve',
      exec_mode: 'fork',
      instances: 2,
      // Each instance has a port of its own: this one and those that follow it.
      increment_var: 'PORT',
      env: { NODE_ENV: 'production', PORT: 4000 },
      // PM2 stops by SIGINT, which drains as SIGTERM does: SHUTDOWN_TIMEOUT_MS (9 s), and up to two seconds to close everything.
      kill_timeout: 15_000,
      // A reload goes on to the next instance this long after it has started one.
      wait_ready: true,
      listen_timeout: 5_000,
      exp_backoff_restart_delay: 100,
      // What the defaults of the service can need.
      max_memory_restart: '1G',
    },
  ],
};
