// SPDX-License-Identifier: GPL-2.0-only
'use strict';
'require baseclass';
'require dom';
'require poll';
'require rpc';
'require uci';

let overlay;

const callAccess = rpc.declare({
	object: 'session',
	method: 'access',
	params: [ 'scope', 'object', 'function' ],
	expect: { access: true }
});

/* A call that is refused: is it this call, or has the login ended? */
function interceptor(message, request) {
	if (message?.error?.code != -32002 || request.object == 'session')
		return;

	return callAccess('uci', 'luci', 'read').catch(() => {
		poll.stop();
		ui().showModal(_('Session expired'), [
			E('div', { 'class': 'alert-message warning' }, [ _('A new login is required since the authentication session expired.') ]),
			E('div', { 'class': 'right' }, [ E('div', { 'class': 'btn primary', 'click': () => window.location.reload() }, [ _('Log in…') ]) ])
		]);
		L.raise('SessionError', 'Login session is expired');
	});
}

let instance = null;

function ui() {
	return instance;
}

const changes = {
	changes: {},

	init: () => uci.changes().then((found) => {
		const count = Object.values(found).reduce((sum, one) => sum + one.length, 0);

		changes.changes = found;

		if (count)
			instance.showIndicator('uci-changes', '%s: %d'.format(_('Unsaved Changes'), count), changes.displayChanges);
		else
			instance.hideIndicator('uci-changes');
	}),

	displayChanges() {
		const lines = [];

		for (const config in changes.changes)
			for (const change of changes.changes[config])
				lines.push(E('code', {}, [ '%s %s.%s'.format(change[0], config, change.slice(1).join('.')) ]), E('br'));

		instance.showModal('%s / %s'.format(_('Configuration'), _('Changes')), [
			E('div', { 'class': 'uci-change-list' }, lines),
			E('div', { 'class': 'button-row' }, [
				E('button', { 'class': 'btn cbi-button', 'click': instance.hideModal }, [ _('Close') ]), ' ',
				E('button', { 'class': 'btn cbi-button cbi-button-positive important', 'click': () => changes.apply(true) }, [ _('Save & Apply') ]), ' ',
				E('button', { 'class': 'btn cbi-button cbi-button-reset', 'click': changes.revert }, [ _('Revert') ])
			])
		], 'uci-dialog');
	},

	post: (action, token) => fetch('%s?sid=%s&token=%s'.format(L.url('admin/uci', action), L.env.sessionid, token), { method: 'POST' }),

	status(text) {
		instance.showModal('', [ E('p', {}, [ text ]) ], 'alert-message', 'notice');
	},

	async apply() {
		changes.status(_('Starting configuration apply…'));

		const answer = await changes.post('apply_rollback', L.env.token);

		if (answer.status == 204) {
			changes.status(_('There are no changes to apply'));
			window.setTimeout(instance.hideModal, L.env.apply_display * 1000);

			return;
		}

		const token = (await answer.json()).token;

		await new Promise((resolve) => window.setTimeout(resolve, L.env.apply_holdoff * 1000));
		await changes.post('confirm', token);
		changes.status(_('Configuration changes applied.'));
		window.setTimeout(() => window.location.reload(), L.env.apply_display * 1000);
	},

	async revert() {
		await changes.post('revert', L.env.token);
		window.location.reload();
	}
};

return baseclass.extend({
	changes: changes,

	__init__() {
		instance = this;
		overlay = document.body.appendChild(E('div', {
			'id': 'modal_overlay',
			'tabindex': '-1',
			'keydown': (event) => {
				if (event.key == 'Escape')
					overlay.querySelector('.right > button, .right > .btn, .button-row > .btn')?.click();
			}
		}, [ E('div', { 'class': 'modal', 'role': 'dialog', 'aria-modal': 'true' }) ]));
		rpc.addInterceptor(interceptor);
	},

	begin() {
		document.addEventListener('poll-start', () => this.showIndicator('poll-status', _('Refreshing'), () => poll.active() ? poll.stop() : poll.start()));
		document.addEventListener('poll-stop', () => this.showIndicator('poll-status', _('Paused'), null, 'inactive'));
		changes.init();
	},

	instantiateView: (path) => L.require('view.%s'.format(path.replace(/\//g, '.'))).catch((error) => {
		dom.content(document.getElementById('view'), [ E('pre', { 'class': 'alert-message danger', 'id': 'luci-error' }, [ String(error.stack ?? error) ]) ]);
	}),

	showModal(title, children, ...classes) {
		const dialog = overlay.firstElementChild;

		dialog.className = 'modal';
		dialog.classList.add(...classes);
		dom.content(dialog, E('h4', {}, title));
		dom.append(dialog, children);
		document.body.classList.add('modal-overlay-active');
		overlay.focus();

		return dialog;
	},

	hideModal() {
		document.body.classList.remove('modal-overlay-active');
	},

	addNotification(title, children, ...classes) {
		const message = E('div', { 'class': 'alert-message', 'style': 'display:flex' }, [
			E('div', { 'style': 'flex:10' }),
			E('button', { 'class': 'btn', 'click': () => message.remove() }, [ _('Dismiss') ])
		]);

		if (title != null)
			dom.append(message.firstElementChild, E('h4', {}, title));

		dom.append(message.firstElementChild, children);
		message.classList.add(...classes);
		document.getElementById('maincontent').prepend(message);

		return message;
	},

	createHandlerFn(context, fn, ...values) {
		const handler = typeof(fn) == 'string' ? context[fn] : fn;

		return (event) => {
			const target = event.currentTarget;

			target.classList.add('spinning');
			target.disabled = true;
			target.blur();
			Promise.resolve(handler.call(context, ...values, event)).finally(() => {
				target.classList.remove('spinning');
				target.disabled = false;
			});
		};
	},

	showIndicator(id, label, handler, style) {
		this.hideIndicator(id);
		document.getElementById('indicators').append(E('span', {
			'data-indicator': id,
			'data-style': style ?? 'active',
			'data-clickable': handler ? 'true' : null,
			'click': handler ?? null
		}, [ label ]));
	},

	hideIndicator(id) {
		document.querySelector('[data-indicator="%s"]'.format(id))?.remove();
	}
});
