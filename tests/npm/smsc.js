// A message centre by a library that is not ours. Reads orders, one JSON a line, and tells what it hears, one JSON a line.
'use strict';
const smpp = require(process.argv[2]);

const options = JSON.parse(process.argv[3]);
// The next so many messages are answered with this status.
let refusal = { status: 0, count: 0 };
// Messages are taken and not answered.
let mute = false;
let serial = 0;
const sessions = new Set();

function tell(fact) {
  process.stdout.write(JSON.stringify(fact) + '\n');
}

function submit(session, pdu) {
  if (refusal.count > 0) {
    refusal.count -= 1;
    session.send(pdu.response({ command_status: refusal.status }));
    return;
  }
  serial += 1;
  const id = `${process.pid}-${serial}`;
  const header = pdu.short_message.udh ? pdu.short_message.udh.map((part) => [...part]) : null;
  const source = [pdu.source_addr_ton, pdu.source_addr_npi, pdu.source_addr];
  const destination = [pdu.dest_addr_ton, pdu.dest_addr_npi, pdu.destination_addr];
  const { data_coding: coding, validity_period: validity, registered_delivery: registered } = pdu;
  const text = pdu.short_message.message;
  tell({ event: 'submit', id, source, destination, coding, validity, registered, header, text });
  if (!mute) {
    session.send(pdu.response({ message_id: id }));
  }
}

function attend(session) {
  sessions.add(session);
  session.on('close', () => sessions.delete(session));
  session.on('error', () => session.destroy());
  session.on('bind_transceiver', (pdu) => {
    const knows = pdu.system_id === options.system_id && pdu.password === options.password;
    tell({ event: 'bind', system_id: pdu.system_id, version: pdu.interface_version, knows });
    session.send(pdu.response({ command_status: knows ? smpp.ESME_ROK : smpp.ESME_RINVPASWD }));
    if (!knows) {
      session.close();
    }
  });
  session.on('submit_sm', (pdu) => submit(session, pdu));
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => {
    tell({ event: 'unbind' });
    session.send(pdu.response());
    session.close();
  });
}

function deliver({ text, fields }) {
  const [session] = sessions;
  session.deliver_sm({ esm_class: 4, short_message: Buffer.from(text), ...fields }, (answer) => {
    tell({ event: 'answered', status: answer.command_status });
  });
}

const secrets = options.key ? { key: options.key, cert: options.cert } : {};
const server = smpp.createServer(secrets, attend);
server.listen(options.port, '127.0.0.1', () => tell({ event: 'ready', port: server.address().port }));

require('readline')
  .createInterface({ input: process.stdin })
  .on('line', (line) => {
    const order = JSON.parse(line);
    refusal = order.refuse || refusal;
    mute = order.mute ?? mute;
    if (order.deliver) {
      deliver(order.deliver);
    }
    tell({ event: 'obeyed' });
  });
