// SPDX-License-Identifier: GPL-2.0-only
'use strict';
'require baseclass';
'require ui';
'require natflow.bus as bus';
'require natflow.show as show';

/* The dialog that explains one flow: how it is forwarded, why not faster, and the way of each direction. */

const el = show.el;

const FLAGS = {
	'snat': () => _('source translated'),
	'dnat': () => _('destination translated'),
	'symmetric': () => _('no translation'),
	'assured': () => _('assured by conntrack'),
	'proved-original': () => _('original direction proved'),
	'proved-reply': () => _('reply direction proved')
};

/* Reasons of the hardware that say nothing about one flow, or end by themselves. */
const USUAL = [ 'none', 'hw-off', 'hw-no-client', 'hw-no-door', 'hw-cpu', 'hw-rate', 'hw-unproved' ];

function tuple(flow) {
	return { proto: flow.proto, src: flow.src, sport: flow.sport, dst: flow.dst, dport: flow.dport };
}

/* One stop on the way: a device or an end, and what it is. */
function stop(name, what, kind) {
	return el('li', { 'class': 'nf-stop nf-stop-%s'.format(kind) }, el('span', {}, name), el('small', {}, what));
}

function way(path, flow) {
	const reply = path.direction == 'reply';
	const from = reply ? show.endpoint(flow.reply_src, flow.reply_sport) : show.endpoint(flow.src, flow.sport);
	const to = reply ? show.endpoint(flow.src, flow.sport) : show.endpoint(flow.reply_src, flow.reply_sport);
	const stops = [ stop(from, _('from'), 'end'), stop(path.in || '?', _('comes in'), 'device') ];

	if (path.route && path.route != path.out)
		stops.push(stop(path.route, _('route names'), 'device'));

	stops.push(stop(path.out || '?', path.vlan == null ? _('goes out') : _('goes out, VLAN %d').format(path.vlan), 'device'));

	if (path.mac)
		stops.push(stop(path.mac, _('next hop'), 'device'));

	stops.push(stop(to, _('to'), 'end'));

	return el('div', { 'class': 'nf-way', 'data-direction': path.direction },
		el('h5', {}, reply ? _('Reply direction') : _('Original direction')),
		el('ol', { 'class': 'nf-stops' }, stops),
		path.drawing ? el('p', { 'class': 'nf-ways' }, path.drawing) : null,
		hardware(path.hardware),
		el('p', { 'class': 'nf-muted' }, _('Packets up to %d bytes; the normal path last confirmed it %s ago.').format(path.mtu, show.duration(path.proved))));
}

/* Why a direction is not in the hardware; nothing for one that is, or that is not accelerated. */
function hardware(told) {
	if (!told || told.reason == 'none')
		return null;

	const refused = told.error ? '%s: %s'.format(told.error, _(told.error_text)) : null;

	return el('p', { 'data-hardware': told.reason }, el('strong', {}, _('Not in hardware:')), ' ',
		[ _(told.sentence), refused, _(told.hint) ].filter((text) => text).join(' '));
}

/* Bytes of the hardware, and whether it counted them. */
function inHardware(flow) {
	const [ there, back ] = flow.hw_bytes ?? [ 0, 0 ];
	const text = '↑ %s, ↓ %s'.format(show.bytes(there), show.bytes(back));

	return flow.estimated?.includes(true) ? _('%s (estimated)').format(text) : text;
}

/* What the short path moved, in software and in hardware. */
function fast(flow) {
	return flow.bytes.map((bytes, index) => bytes + (flow.hw_bytes?.[index] ?? 0));
}

function facts(flow) {
	const moved = fast(flow);
	const list = [
		[ _('Connection'), '%s %s → %s'.format(flow.proto.toUpperCase(), show.endpoint(flow.src, flow.sport), show.endpoint(flow.dst, flow.dport)) ],
		[ _('Replies'), '%s → %s'.format(show.endpoint(flow.reply_src, flow.reply_sport), show.endpoint(flow.reply_dst, flow.reply_dport)) ],
		[ _('On the short path'), '↑ %s, ↓ %s'.format(show.bytes(moved[0]), show.bytes(moved[1])) ],
		[ _('Of it in hardware'), inHardware(flow) ],
		[ _('In all'), '↑ %s, ↓ %s'.format(show.bytes(flow.total_bytes[0]), show.bytes(flow.total_bytes[1])) ],
		[ _('Properties'), flow.flags.map((flag) => FLAGS[flag]?.() ?? flag).join(', ') || '–' ],
		[ _('Connection mark'), '0x%x'.format(flow.mark) ],
		[ _('Learned'), _('%s ago').format(show.duration(flow.age)) ],
		[ _('Last packet'), _('%s ago').format(show.duration(flow.idle)) ],
		[ _('Forgotten by conntrack'), _('in %s').format(show.duration(flow.timeout * 1000)) ]
	];

	return el('dl', { 'class': 'nf-facts nf-facts-wide' }, list.map((fact) => [ el('dt', {}, fact[0]), el('dd', {}, fact[1]) ]));
}

function explanation(answer, flow) {
	const accelerated = answer.reason == 'none';

	return [
		el('p', {}, show.badge(answer.state), ' · ', el('strong', {}, _(answer.summary))),
		accelerated ? null : show.notice('notice', _(answer.sentence), [ _(answer.hint) ]),
		answer.path.map((path) => way(path, answer.flow ?? flow)),
		facts(answer.flow ?? flow)
	];
}

return baseclass.extend({
	fast,

	/* Reason codes, with the driver's error, of directions that the hardware does not take; '' for none. */
	refusals(flow) {
		const words = (flow.hw_reason ?? []).map((reason, index) =>
			USUAL.includes(reason) ? '' : '%s %s'.format(reason, flow.hw_error[index]).trim());

		return words.filter((word, index) => word && words.indexOf(word) == index).join(', ');
	},

	/* Open the dialog for a row of "query". actions: more buttons; closed() is called when it goes. */
	open(flow, actions, closed) {
		const body = el('div', { 'class': 'nf-why', 'id': 'nf-why' }, el('p', { 'class': 'spinning' }, _('Asking natflow…')));
		const close = el('button', { 'class': 'btn cbi-button', 'type': 'button', 'id': 'nf-why-close', 'click': () => {
			ui.hideModal();
			closed?.();
		} }, _('Close'));

		ui.showModal(_('Why is this flow forwarded so?'), [ body, el('div', { 'class': 'right button-row' }, close, ' ', actions) ], 'nf-dialog');
		close.focus();

		return bus.explain(tuple(flow)).then((answer) => {
			body.replaceChildren(...el('div', {}, explanation(answer, flow)).childNodes);
		}, (error) => {
			body.replaceChildren(show.notice('error', null, [ error.message ]));
		});
	}
});
