// SPDX-License-Identifier: GPL-2.0-only
'use strict';
'require baseclass';
'require dom';

/* How things are shown: numbers with units, addresses, states, and the small pieces of markup that the views
   share. LuCI's E() parses a lone string as HTML; el() never does, because names of hosts are hostile. */

const STATES = {
	'slow': () => _('Normal path'),
	'learning': () => _('Learning'),
	'software': () => _('Software'),
	'hw-pending': () => _('Hardware, pending'),
	'hardware': () => _('Hardware'),
	'wed': () => _('Hardware to WiFi')
};

const NOTICE_TITLES = {
	error: () => _('Error'),
	warning: () => _('Warning'),
	notice: () => _('Note')
};

let stylesheet = null;

/* An element with children that are nodes, or text that is never HTML. */
function el(tag, attributes, ...children) {
	return E(tag, attributes ?? {}, children.flat(Infinity).filter((child) => child != null && child !== false));
}

function icon(name) {
	return el('span', { 'class': 'nf-dot nf-dot-%s'.format(name), 'aria-hidden': 'true' });
}

function changed(node, text) {
	if (node.textContent !== text)
		node.textContent = text;
}

return baseclass.extend({
	el: el,
	icon: icon,

	/* Set the text of a node, and leave the document alone where it is the same. */
	text: changed,

	/* The style sheet; resolves when the page can be drawn without jumping. */
	style() {
		stylesheet ??= new Promise((resolve) => {
			document.head.appendChild(el('link', {
				'rel': 'stylesheet',
				'href': L.resource('natflow/natflow.css'),
				'load': resolve,
				'error': resolve
			}));
		});

		return stylesheet;
	},

	/* Bytes, counted in steps of 1024. */
	bytes: (count) => '%1024.1mB'.format(count),

	/* Bytes per second as bits per second, which is how lines are sold. */
	rate: (bytesPerSecond) => '%1000.1mbit/s'.format(Math.round(bytesPerSecond * 8)),

	count: (number) => String(number).replace(/\B(?=(\d{3})+$)/g, '\u202f'),

	percent: (part, whole) => whole > 0 ? '%.1f %%'.format(100 * part / whole) : '–',

	/* A time in milliseconds, with its two largest units. */
	duration(milliseconds) {
		const seconds = Math.floor(milliseconds / 1000);
		const minutes = Math.floor(seconds / 60);
		const hours = Math.floor(minutes / 60);
		const days = Math.floor(hours / 24);

		if (days)
			return _('%d d %d h').format(days, hours % 24);

		if (hours)
			return _('%d h %d min').format(hours, minutes % 60);

		if (minutes)
			return _('%d min %d s').format(minutes, seconds % 60);

		return _('%d s').format(seconds);
	},

	endpoint: (address, port) => (address.indexOf(':') < 0 ? '%s:%d' : '[%s]:%d').format(address, port),

	stateName: (state) => STATES[state]?.() ?? state,

	states: () => Object.keys(STATES),

	/* A badge: a dot whose colour is the state's, and its name, for those who see no colours. */
	badge: (state, label) => el('span', { 'class': 'nf-badge', 'data-state': state },
		icon(state), ' ', label ?? STATES[state]?.() ?? state),

	/* A message with what to do about it. level: error, warning or notice; actions: buttons. */
	notice: (level, title, sentences, actions) => el('div', {
		'class': 'alert-message nf-notice %s'.format(level == 'error' ? 'danger' : level),
		'data-level': level,
		'role': level == 'error' ? 'alert' : 'status'
	},
	el('div', { 'class': 'nf-notice-text' },
		el('h4', {}, title ?? NOTICE_TITLES[level]()),
		sentences.filter(Boolean).map((sentence) => el('p', {}, sentence))),
	actions?.length ? el('div', { 'class': 'nf-notice-actions' }, actions) : null),

	/* Bring the rows of a table up to date: rows keep their nodes, and with them the keyboard focus, as long as
	   their key is there. make(item) builds a row, fill(row, item) writes what changes. */
	rows(body, items, key, make, fill) {
		const known = new Map(Array.from(body.children, (row) => [ row.getAttribute('data-key'), row ]));
		let next = body.firstElementChild;

		for (const item of items) {
			const name = String(key(item));
			let row = known.get(name);

			known.delete(name);

			if (!row) {
				row = make(item);
				row.setAttribute('data-key', name);
			}

			fill(row, item);

			if (row === next)
				next = next.nextElementSibling;
			else
				body.insertBefore(row, next);
		}

		known.forEach((row) => row.remove());
	},

	/* Replace the children of a node only if what they would say is new: no jump, no lost focus. */
	content(node, signature, build) {
		const text = JSON.stringify(signature);

		if (node.getAttribute('data-shown') === text)
			return;

		node.setAttribute('data-shown', text);
		dom.content(node, build());
	}
});
