// SPDX-License-Identifier: GPL-2.0-only
'use strict';
'require baseclass';
'require rpc';
'require natflow.bus as bus';

/* Names of hosts. natflowd knows those with a DHCP lease; LuCI's host hints also come from static entries,
   /etc/hosts and the neighbours. They are hostile input like all names. */

const MILLISECONDS = 60000; // rpcd reads half a dozen files for an answer

const hostHints = rpc.declare({
	object: 'luci-rpc',
	method: 'getHostHints',
	expect: { '': {} }
});

let asked = -Infinity;
let known = {};

/* Name by MAC and by address, lower case. Without hints, for whatever reason, the pages work as well. */
function load() {
	if (performance.now() - asked < MILLISECONDS)
		return Promise.resolve(known);

	asked = performance.now();

	return hostHints().then((hints) => {
		known = {};

		for (const mac in hints) {
			const { name, ipaddrs, ip6addrs } = hints[mac];

			if (typeof(name) == 'string' && name)
				for (const key of [ mac, ...(ipaddrs ?? []), ...(ip6addrs ?? []) ])
					known[String(key).toLowerCase()] = name;
		}

		return known;
	}).catch(() => known);
}

return baseclass.extend({
	/* The reply of the ubus method "clients", with every name that somebody knows. */
	clients: () => Promise.all([ bus.clients(), load() ]).then(([ reply, names ]) => {
		for (const client of reply.clients)
			if (!client.name)
				client.name = [ client.mac ?? '', ...client.addresses ].map((key) => names[key.toLowerCase()]).find(Boolean) ?? client.name;

		return reply;
	})
});
