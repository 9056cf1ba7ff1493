// SPDX-License-Identifier: GPL-2.0-only
'use strict';
'require baseclass';
'require request';

const SECONDS = 20;
const interceptors = [];
let lastId = 0;

function answer(options, message, values) {
	if (message?.error)
		L.raise('RPCError', 'RPC call to %s/%s failed with error %d: %s', options.object, options.method, message.error.code, message.error.message);

	const [ status, data ] = message.result;
	let reply = message.result.length > 1 ? data : status;

	if (options.reject && status !== 0)
		L.raise('RPCError', 'RPC call to %s/%s failed with ubus code %d: %s', options.object, options.method, status, '?');

	for (const key in options.expect ?? {}) {
		if (key != '')
			reply = reply?.[key];

		if (Object.prototype.toString.call(reply) != Object.prototype.toString.call(options.expect[key]))
			reply = options.expect[key];
	}

	return options.filter ? options.filter(reply, values) : reply;
}

return baseclass.extend({
	declare: (options) => (...values) => {
		const parameters = {};

		(options.params ?? []).forEach((name, at) => { parameters[name] = values[at]; });

		return request.post(L.env.ubuspath, {
			jsonrpc: '2.0',
			id: ++lastId,
			method: 'call',
			params: [ L.env.sessionid, options.object, options.method, parameters ]
		}, SECONDS * 1000).then((message) => Promise.all(interceptors.map((fn) => fn(message, options)))
			.then(() => answer(options, message, parameters)));
	},

	addInterceptor: (fn) => { interceptors.push(fn); }
});
