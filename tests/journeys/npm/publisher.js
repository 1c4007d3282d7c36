// SPDX-License-Identifier: Apache-2.0
// A publisher on the npm client `mqtt` for the journeys: publishes what it reads, one
// "TOPIC PAYLOAD" a line, reconnects by itself, and ends its session at the end of its input.
//
//   publisher.js HOST PORT CLIENT_ID [--qos N] [--version 3|4|5] [--aliases] [--properties]
//
// With MQTT 5, --aliases gives each topic an alias, up to the broker's limit, and leaves out the
// topic from then on; --properties adds properties of every kind to each message.
'use strict'

const mqtt = require('mqtt')
const readline = require('node:readline')
const { parseArgs } = require('node:util')

const { values, positionals: [host, port, clientId] } = parseArgs({
  allowPositionals: true,
  options: {
    qos: { type: 'string', default: '0' },
    version: { type: 'string', default: '4' },
    aliases: { type: 'boolean', default: false },
    properties: { type: 'boolean', default: false }
  }
})

const PROPERTIES = {
  payloadFormatIndicator: true,
  messageExpiryInterval: 3600,
  responseTopic: 'answers/to/nobody',
  correlationData: Buffer.from([0, 1, 2, 0x30, 0xff]),
  userProperties: { one: 'value', another: ['twice', 'twice'] },
  contentType: 'text/plain'
}

const client = mqtt.connect({
  host,
  port: Number(port),
  clientId,
  protocolId: values.version === '3' ? 'MQIsdp' : 'MQTT',
  protocolVersion: Number(values.version),
  autoAssignTopicAlias: values.aliases,
  reconnectPeriod: 1000
})

// Without a handler an error would end the process; the client reconnects by itself.
client.on('error', error => console.error(String(error)))

client.once('connect', () => {
  const options = { qos: Number(values.qos) }
  if (values.properties) options.properties = PROPERTIES
  readline.createInterface({ input: process.stdin })
    .on('line', line => {
      const blank = line.indexOf(' ')
      // The client writes the alias into its options, so it gets a copy.
      client.publish(line.slice(0, blank), line.slice(blank + 1), structuredClone(options))
    })
    .on('close', () => client.end())
})
