// For PM2: `pm2 start ecosystem.config.js`, and `pm2 reload evstream-workers` to replace the processes one by one.
module.exports = {
  apps: [{
    name: 'evstream-workers',
    script: 'server.js',
    cwd: __dirname,
    exec_mode: 'cluster',
    instances: 4,
    // Longer than server.js takes to ask its clients to come back.
    kill_timeout: 3_000,
    env: { EVSTREAM_JOURNAL: process.env.EVSTREAM_JOURNAL, PORT: process.env.PORT || 8000 }
  }]
}
