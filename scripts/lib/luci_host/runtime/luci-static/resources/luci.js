// SPDX-License-Identifier: GPL-2.0-only
/* What LuCI's luci.js offers to views, as far as the app uses it: class loading, DOM helpers, requests, polling.
   It keeps LuCI's habits, dangerous ones included: a lone string as the content of an element is HTML. */
'use strict';

(function(window, document) {
	const cache = new Map();
	const builtin = {};
	let env = {};

	class Base {
		constructor(...values) {
			this.__init__?.(...values);
		}

		static extend(properties) {
			const made = class extends this {};

			Object.defineProperties(made.prototype, Object.getOwnPropertyDescriptors(properties));

			return made;
		}

		super(name, ...values) {
			const above = Object.getPrototypeOf(Object.getPrototypeOf(this))[name];

			return typeof(above) == 'function' ? above.apply(this, values.flat()) : above;
		}
	}

	const dom = {
		elem: (node) => node instanceof window.Node,

		append(node, children) {
			if (Array.isArray(children)) {
				for (const child of children) {
					if (dom.elem(child))
						node.appendChild(child);
					else if (child != null)
						node.appendChild(document.createTextNode(String(child)));
				}
			}
			else if (dom.elem(children)) {
				node.appendChild(children);
			}
			else if (children != null) {
				node.innerHTML = String(children);
			}

			return node.lastChild;
		},

		content(node, children) {
			node.replaceChildren();

			return dom.append(node, children);
		},

		attr(node, attributes) {
			for (const name in attributes) {
				const value = attributes[name];

				if (typeof(value) == 'function')
					node.addEventListener(name, value);
				else if (value != null)
					node.setAttribute(name, typeof(value) == 'object' ? JSON.stringify(value) : value);
			}
		},

		create(tag, attributes, children) {
			if (Array.isArray(tag))
				return dom.fragment(tag);

			if (attributes == null || Array.isArray(attributes) || dom.elem(attributes) || typeof(attributes) != 'object') {
				children = children ?? attributes;
				attributes = {};
			}

			const node = document.createElement(tag);

			dom.attr(node, attributes);
			dom.append(node, children);

			return node;
		},

		fragment(children) {
			const node = document.createDocumentFragment();

			dom.append(node, children);

			return node;
		}
	};

	const poll = {
		queue: [],
		tick: 0,
		timer: null,

		add(fn, interval) {
			if (typeof(fn) != 'function')
				throw new TypeError('poll.add() needs a function');

			poll.queue.push({ fn, interval: interval || env.pollinterval, idle: true });

			if (window.L?.loaded)
				poll.start();
		},

		active: () => poll.timer != null,

		start() {
			if (poll.active() || !poll.queue.length)
				return false;

			poll.tick = 0;
			poll.timer = window.setInterval(poll.step, 1000);
			poll.step();
			document.dispatchEvent(new CustomEvent('poll-start'));

			return true;
		},

		stop() {
			if (!poll.active())
				return false;

			window.clearInterval(poll.timer);
			poll.timer = null;
			document.dispatchEvent(new CustomEvent('poll-stop'));

			return true;
		},

		/* A function whose last promise is still open is left out. */
		step() {
			for (const entry of poll.queue) {
				if (poll.tick % entry.interval || !entry.idle)
					continue;

				entry.idle = false;
				Promise.resolve(entry.fn()).finally(() => { entry.idle = true; });
			}

			poll.tick++;
		}
	};

	let batch = null;

	const request = {
		poll: poll,

		/* Messages of one tick travel together, as JSON-RPC allows. */
		post(url, message, timeout) {
			if (batch?.url != url) {
				const made = { url, messages: [], timeout };

				made.answers = new Promise((resolve, reject) => {
					window.setTimeout(() => {
						batch = null;
						request.send(url, made.messages, timeout).then(resolve, reject);
					}, 0);
				});
				batch = made;
			}

			const at = batch.messages.push(message) - 1;

			return batch.answers.then((answers) => answers[at]);
		},

		send(url, messages, timeout) {
			return fetch(url, {
				method: 'POST',
				headers: { 'Content-Type': 'application/json' },
				body: JSON.stringify(messages),
				signal: AbortSignal.timeout(timeout)
			}).then((response) => response.json(), (error) => {
				throw new Error(error.name == 'TimeoutError' ? 'XHR request timed out' : 'XHR request aborted by browser');
			});
		}
	};

	const View = Base.extend({
		async __init__() {
			const place = document.getElementById('view');

			try {
				const nodes = await this.render(await this.load?.());

				dom.content(place, nodes);
				dom.append(place, this.addFooter());
			}
			catch (error) {
				dom.content(place, [ dom.create('pre', { 'class': 'alert-message danger', 'id': 'luci-error' }, [ error.stack ?? error ]) ]);
			}
		},

		handleSave() {
			return Promise.all(Array.from(document.querySelectorAll('.cbi-map'), (node) => node.map.save()));
		},

		handleSaveApply() {
			return this.handleSave().then(() => cache.get('ui').then((ui) => ui.changes.apply(true)));
		},

		handleReset() {
			return Promise.all(Array.from(document.querySelectorAll('.cbi-map'), (node) => node.map.reset()));
		},

		addFooter() {
			const readonly = !window.L.hasViewPermission() || null;
			const button = (kind, handler, label) => this[handler] ? dom.create('button', {
				'class': 'btn cbi-button cbi-button-%s'.format(kind),
				'disabled': readonly,
				'click': (event) => this[handler](event)?.catch?.(() => {})
			}, [ label ]) : '';

			if (!this.handleSave && !this.handleSaveApply && !this.handleReset)
				return dom.fragment([]);

			return dom.create('div', { 'class': 'cbi-page-actions' }, [
				button('apply', 'handleSaveApply', _('Save & Apply')), ' ',
				button('save', 'handleSave', _('Save')), ' ',
				button('reset', 'handleReset', _('Reset'))
			]);
		}
	});

	Object.assign(builtin, { baseclass: Base, dom, poll, request, view: View });

	async function load(name) {
		const response = await fetch('%s/%s.js'.format(env.resource, name.replace(/\./g, '/')));

		if (!response.ok)
			throw new Error('HTTP error %d while loading class %s'.format(response.status, name));

		const source = await response.text();
		const needed = [];

		for (const line of source.matchAll(/^'require (\S+)(?: as (\w+))?';/gm))
			needed.push([ line[1], line[2] ?? line[1].replace(/\W/g, '_') ]);

		const values = await Promise.all(needed.map((one) => window.L.require(one[0])));
		const made = new Function('window', 'document', 'L', ...needed.map((one) => one[1]), source);
		const result = made(window, document, window.L, ...values);

		if (typeof(result) != 'function' || !(result.prototype instanceof Base))
			throw new TypeError('%s is no class'.format(name));

		return new result();
	}

	window.LuCI = class {
		constructor(environment) {
			env = environment;
			this.env = env;
			this.loaded = false;

			document.addEventListener('DOMContentLoaded', () => this.require('ui').then((ui) => {
				this.loaded = true;
				ui.begin();
				poll.start();
				document.dispatchEvent(new CustomEvent('luci-loaded'));
			}));
		}

		require(name) {
			if (builtin[name])
				return Promise.resolve(builtin[name]);

			if (!cache.has(name))
				cache.set(name, load(name));

			return cache.get(name);
		}

		isObject(value) {
			return value != null && typeof(value) == 'object';
		}

		url(...parts) {
			return [ env.scriptname, ...parts ].join('/');
		}

		resource(...parts) {
			return [ env.resource, ...parts ].join('/');
		}

		hasViewPermission() {
			return env.nodespec?.satisfied ? !env.nodespec.readonly : null;
		}

		raise(type, format, ...values) {
			const error = new Error(format.format(...values));

			error.name = type;
			throw error;
		}

		resolveDefault(promise, value) {
			return Promise.resolve(promise).catch(() => value);
		}
	};

	window.E = dom.create;
})(window, document);
