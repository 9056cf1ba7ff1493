// SPDX-License-Identifier: GPL-2.0-only
'use strict';
'require baseclass';

function sorted(node) {
	return Object.keys(node?.children ?? {}).map((name) => Object.assign({ name }, node.children[name]))
		.filter((child) => child.title && child.satisfied).sort((one, other) => (one.order ?? 1000) - (other.order ?? 1000));
}

function link(active, label, ...path) {
	return E('li', { 'class': active ? 'active' : '' }, [ E('a', { 'href': L.url(...path) }, [ _(label) ]) ]);
}

return baseclass.extend({
	async __init__() {
		const tree = await fetch(L.url('admin/menu')).then((response) => response.json());
		const [ , category, app, page ] = L.env.dispatchpath;
		const node = tree.children.admin.children[category];

		document.getElementById('topmenu').append(...sorted(node).map((child) => link(child.name == app, child.title, 'admin', category, child.name)));
		document.getElementById('tabmenu').append(E('ul', { 'class': 'tabs' }, sorted(node.children[app]).map((child) =>
			link(child.name == page, child.title, 'admin', category, app, child.name))));
	}
});
