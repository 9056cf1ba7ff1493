// SPDX-License-Identifier: GPL-2.0-only
'use strict';
'require baseclass';
'require rpc';

/* natflowd over ubus. Every call resolves to the reply, an object, or rejects with a Trouble: an Error whose
   message is a sentence for people and whose kind tells the views what to offer. */

const OBJECT = 'luci.natflow';

const KINDS = {
	absent: () => _('The natflow daemon is not running, or has just been restarted.'),
	denied: () => _('This login has no permission to ask natflow.'),
	slow: () => _('The router did not answer in time. The numbers on this page are old.'),
	lost: () => _('The router cannot be reached. The numbers on this page are old.'),
	silent: () => _('natflow gave an answer that this page does not understand. Do the versions of the two packages match?')
};

function trouble(kind, message) {
	const error = new Error(message || KINDS[kind]());

	error.kind = kind;

	return error;
}

/* rpc.js tells what went wrong in its message only. */
function classify(error) {
	const message = String(error?.message ?? error);
	const rpcCode = /failed with error (-?\d+)/.exec(message)?.[1];
	const ubusCode = /failed with ubus code (\d+)/.exec(message)?.[1];

	if (error?.kind)
		return error;

	if (rpcCode == '-32000' || ubusCode == '4' || ubusCode == '3' || ubusCode == '10')
		return trouble('absent');

	if (rpcCode == '-32002' || ubusCode == '6')
		return trouble('denied');

	if (rpcCode == '-32003' || ubusCode == '7' || /time[d ]*out/i.test(message))
		return trouble('slow');

	if (rpcCode || ubusCode)
		return trouble('refused', message);

	return trouble('lost');
}

function answered(reply) {
	if (!L.isObject(reply))
		throw trouble('silent');

	if (typeof(reply.error) == 'string')
		throw trouble(reply.unavailable ? 'unavailable' : 'refused', reply.error);

	return reply;
}

function declare(method, param) {
	const call = rpc.declare({
		object: OBJECT,
		method: method,
		params: param ? [ param ] : [],
		reject: true
	});

	return (argument) => call(argument).then(answered).catch((error) => {
		throw classify(error);
	});
}

const initAction = rpc.declare({
	object: 'rc',
	method: 'init',
	params: [ 'name', 'action' ],
	reject: true
});

return baseclass.extend({
	status: declare('status'),
	info: declare('info'),
	clients: declare('clients'),
	query: declare('query', 'filter'),
	explain: declare('explain', 'flow'),
	flush: declare('flush', 'filter'),
	set: declare('set', 'options'),

	/* Start natflowd; its init script also loads the module. */
	start: () => initAction('natflow', 'start').catch((error) => {
		throw classify(error);
	}),

	trouble: trouble
});
