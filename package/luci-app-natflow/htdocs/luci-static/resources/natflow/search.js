// SPDX-License-Identifier: GPL-2.0-only
'use strict';
'require baseclass';

/* What somebody types into the search field, as a filter of the ubus method "query". */

const PROTOCOLS = [ 'tcp', 'udp' ];
const FAMILIES = [ 'ipv4', 'ipv6' ];
const ADDRESSES_MAX = 256;

const PORT = /^:?(\d{1,5})$/;
const MAC = /^([0-9a-f]{2}[:-]){5}[0-9a-f]{2}$/i;
const IPV4 = /^(\d{1,3}(?:\.\d{1,3}){3}(?:\/\d{1,2})?)(?::(\d{1,5}))?$/;
const IPV6 = /^([0-9a-f:]*:[0-9a-f:.]*(?:\/\d{1,3})?)$/i;
const IPV6_PORT = /^\[([0-9a-f:.]+)\](?::(\d{1,5}))?$/i;
const MARK = /^0x[0-9a-f]+(?:\/0x[0-9a-f]+)?$/i;

/* Addresses of the hosts whose name holds the word. */
function named(word, clients) {
	return clients.filter((client) => client.name.toLowerCase().includes(word))
		.flatMap((client) => client.addresses);
}

return baseclass.extend({
	/* clients: as the ubus method "clients" lists them. A word that is nothing else is the name of a host or, when
	   no host is called so, of a device; natflowd says so when there is no such device either. */
	parse(text, clients) {
		const filter = {};
		const addresses = [];

		for (const word of text.toLowerCase().split(/[\s,]+/).filter(Boolean)) {
			let found;

			if (PROTOCOLS.includes(word)) {
				filter.proto = word;
			}
			else if (FAMILIES.includes(word)) {
				filter.family = word;
			}
			else if ((found = PORT.exec(word))) {
				filter.port = +found[1];
			}
			else if (MAC.test(word)) {
				filter.mac = word;
			}
			else if ((found = IPV4.exec(word) || IPV6_PORT.exec(word) || IPV6.exec(word))) {
				addresses.push(found[1]);

				if (found[2])
					filter.port = +found[2];
			}
			else if (MARK.test(word)) {
				filter.mark = word;
			}
			else {
				const hosts = named(word, clients);

				if (hosts.length)
					addresses.push(...hosts);
				else
					filter.device = word;
			}
		}

		if (addresses.length)
			filter.address = addresses.slice(0, ADDRESSES_MAX);

		return filter;
	}
});
