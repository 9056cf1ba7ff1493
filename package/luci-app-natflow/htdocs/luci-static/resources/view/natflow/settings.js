// SPDX-License-Identifier: GPL-2.0-only
'use strict';
'require view';
'require form';
'require uci';
'require natflow.bus as bus';
'require natflow.show as show';

/* Limits and defaults of natflowd, for the day it does not answer; the tests hold them to the real ones. */
const LIMITS = {
	delay_pkts: { min: 0, max: 65535, default: 4 },
	sample_interval: { min: 100, max: 10000, default: 2000 },
	idle_timeout: { min: 1000, max: 600000, default: 30000 },
	max_flows: { min: 16, max: 1048576, default: 65536 },
	host_flows: { min: 1, max: 1048576, default: 16384 },
	learn_rate: { min: 1, max: 1000000, default: 20000 },
	hw_min_rate: { min: 0, max: 4294967295, default: 500000 },
	hw_rate_limit: { min: 1, max: 1000, default: 200 },
	hw_max_flows: { min: 0, max: 65536, default: 0 }
};

const MARK = /^(0x[0-9a-f]{1,8}|\d{1,10})(?:\/(0x[0-9a-f]{1,8}|\d{1,10}))?$/i;
const U32 = 0xffffffff;

const DEVICE = /^(?!\.{1,2}$)[^\s/:\u0080-\uffff]{1,15}$/;

/* What natflowd takes for switched on. */
const ON = [ '1', 'on', 'true', 'yes', 'enabled' ];

/* What an exception can name, in the order of its row. */
const TITLES = {
	src: () => _('Source'),
	dst: () => _('Destination'),
	proto: () => _('Protocol'),
	port: () => _('Port'),
	device: () => _('Device'),
	mac: () => _('MAC address'),
	mark: () => _('Connection mark')
};

const CONDITIONS = Object.keys(TITLES);

function nothingNamed() {
	return _('It has no condition and would except everything; give one of %s').format(CONDITIONS.map((name) => TITLES[name]()).join(', '));
}

/* Whether natflowd would refuse an exception, and with it all settings. get(option) tells its values. */
function exceptsAll(get) {
	return ON.includes(get('enabled') ?? '1') && !CONDITIONS.some((name) => get(name));
}

function rowExceptsAll(id) {
	return exceptsAll((name) => uci.get('natflow', id, name));
}

function checkRows() {
	const wrong = uci.sections('natflow', 'exception').map((section, index) => rowExceptsAll(section['.name'])
		? '%s: %s'.format(_('Exception %s').format(section.name || index + 1), nothingNamed()) : '').filter(Boolean);

	if (wrong.length)
		throw new TypeError(wrong.join('\n'));
}

/* LuCI checks the fields of a form, and the rows of a grid have none outside of their dialog. It saves silently when
   one of them is deleted, which must go on where others are still wrong. */
const CheckedMap = form.Map.extend({
	save(cb, silent) {
		return this.super('save', [ () => {
			if (!silent)
				checkRows();

			return cb?.();
		}, silent ]);
	}
});

/* true, or what is wrong with the mark. */
function checkMark(text) {
	const found = MARK.exec(text);

	if (text === '')
		return true;

	if (!found)
		return _('Expecting VALUE or VALUE/MASK, decimal or with 0x');

	const value = +found[1];
	const mask = found[2] == null ? U32 : +found[2];

	if (value > U32 || mask > U32)
		return _('Expecting at most 32 bits');

	if (value > 0 && (value & ~mask) !== 0)
		return _('The value has bits that the mask does not have');

	return true;
}

function checkExcludeMark(text) {
	if (/^(0x)?0+$/i.test(text))
		return _('A bare 0 would exclude every connection without a mark; write 0/0xffffffff if that is meant');

	return checkMark(text);
}

function checkDevice(text) {
	return text === '' || DEVICE.test(text) || _('Expecting the name of a network device, at most 15 characters');
}

return view.extend({
	load() {
		return Promise.all([
			bus.info().catch(() => null),
			bus.status().catch((error) => error),
			show.style()
		]);
	},

	render([ info, status ]) {
		const failed = status instanceof Error ? status : null;
		const map = new CheckedMap('natflow', _('Flow Acceleration'), _('Save & Apply puts the settings in force at once. Connections that are running are not interrupted.'));
		const section = map.section(form.NamedSection, 'main', 'natflow');

		this.limits = Object.assign({}, LIMITS, info?.limits);
		this.settings = info?.settings ?? {};
		section.addremove = false;
		section.tab('general', _('General'));
		section.tab('learning', _('Learning'));
		section.tab('limits', _('Limits'));
		section.tab('hardware', _('Hardware'));
		section.tab('exceptions', _('Exceptions'));

		this.flag(section, 'general', 'enabled', '0', _('Acceleration'), _('Forward running connections on the short path. Off hands all of them back to the normal path; no connection ends.'));
		this.flag(section, 'general', 'hwnat', '1', _('Hardware (PPE)'), _('Let the router’s packet engine forward flows where there is one.'), status?.hwnat);
		this.flag(section, 'general', 'hwnat_wed', '0', _('Hardware to WiFi (WED)'), _('Let the hardware forward to and from WiFi as well.'), status?.wed);

		this.number(section, 'learning', 'delay_pkts', _('Packets before learning'), _('Packets that a connection must have had. Short connections are not worth a flow.'));
		this.number(section, 'learning', 'sample_interval', _('Proof interval (ms)'), _('How long a direction is fast after one of its packets has passed firewall and routing. At most so long does a new rule take to reach a running connection.'));
		this.number(section, 'learning', 'idle_timeout', _('Idle time (ms)'), _('Without a packet for so long, a flow leaves the table. Its connection lives on and is learned again.'));
		this.number(section, 'learning', 'learn_rate', _('New flows a second'), _('At the most; more take the normal path.'));

		this.number(section, 'limits', 'max_flows', _('Flows'), this.memory(info));
		this.number(section, 'limits', 'host_flows', _('Flows of one host'), _('So that no single host can fill the table.'));

		const mode = section.taboption('hardware', form.ListValue, 'hwnat_mode', _('Flows for the hardware'), this.marked('hwnat_mode', _('Software keeps latency lower, so flows need not leave it while the processor has time for them.')));

		mode.value('auto', _('the fastest, while the processor is busy'));
		mode.value('always', _('all that are fast enough'));
		mode.default = 'auto';
		mode.rmempty = true;

		this.number(section, 'hardware', 'hw_min_rate', _('Fast enough (bytes per second)'), _('Both directions together.'));
		this.number(section, 'hardware', 'hw_rate_limit', _('Handed over in a second'), _('Directions of flows, at the most.'));
		this.number(section, 'hardware', 'hw_max_flows', _('In the hardware at once'), _('Directions of flows, at the most; 0 for what its table bears.'));

		const mark = section.taboption('exceptions', form.Value, 'exclude_mark', _('Connection mark'), this.marked('exclude_mark', _('Connections with this mark, compared under the mask, stay on the normal path. Mark them in the firewall, for example those that a shaper or a filter must see. Empty: none.')));

		mark.placeholder = '0x10/0xf0';
		mark.rmempty = true;
		mark.validate = (id, value) => checkExcludeMark(value);
		this.exceptions(map, !failed && status.module.loaded && !status.module.tells);

		return map.render().then((node) => show.el('div', { 'class': 'nf-page', 'id': 'nf-settings' },
			failed ? show.notice('warning', failed.kind == 'absent' ? _('The daemon is not running') : null,
				[ failed.message, _('Settings are saved, and come into force when natflow is there again.') ]) : null,
			this.mistakes(failed ? [] : status.config_errors),
			node));
	},

	/* The description of an option. One that the module does not have can be changed all the same: it may have to be
	   taken away, or be meant for the other module. */
	marked(name, description) {
		return this.settings[name] === null
			? description + ' ' + _('It has no effect: the module that is loaded has no such setting.') : description;
	},

	flag(section, tab, name, byDefault, title, description, engine) {
		const note = engine && !engine.supported && engine.reason ? ' ' + _(engine.reason) : '';
		const option = section.taboption(tab, form.Flag, name, title, description + note);

		option.rmempty = false;
		option.default = byDefault;
	},

	number(section, tab, name, title, description) {
		const limit = this.limits[name];
		const option = section.taboption(tab, form.Value, name, title, this.marked(name, description + ' ' +
			_('Allowed: %d to %d.').format(limit.min, limit.max)));

		option.datatype = 'range(%d,%d)'.format(limit.min, limit.max);
		option.placeholder = String(limit.default);
		option.rmempty = true;
	},

	/* A row for each section, edited in a dialog: a row for all that one can name would be too wide.
	   foreign: the module that is driven is the older one, which has none. */
	exceptions(map, foreign) {
		const note = foreign ? ' ' + _('They have no effect: the module that is loaded has no exceptions.') : '';
		const section = map.section(form.GridSection, 'exception', _('Exceptions'), _('Traffic that always takes the normal path, for example because a filter must see all of it. All that an exception names must match.') + note);
		const add = (kind, name, title, description) => {
			const option = section.option(kind, name, title, description);

			option.modalonly = true;
			option.rmempty = true;

			return option;
		};

		section.addremove = true;
		section.anonymous = true;
		section.nodescriptions = true;
		section.addbtntitle = _('Add an exception');
		section.modaltitle = _('Exception');

		const enabled = add(form.Flag, 'enabled', _('Enabled'));

		enabled.modalonly = null;
		enabled.default = '1';
		add(form.Value, 'name', _('Name'), _('For your own use.')).modalonly = null;

		const matches = section.option(form.DummyValue, '_matches', _('Matches'));

		matches.modalonly = false;
		matches.textvalue = (id) => rowExceptsAll(id)
			? show.el('strong', { 'class': 'nf-wrong' }, nothingNamed())
			: show.el('span', {}, CONDITIONS.filter((name) => uci.get('natflow', id, name))
				.map((name) => '%s %s'.format(TITLES[name](), uci.get('natflow', id, name))).join(', ') || _('nothing yet'));

		const src = add(form.Value, 'src', TITLES.src(), _('Address or prefix of who opened the connection.'));
		const dst = add(form.Value, 'dst', TITLES.dst(), _('Address or prefix that it was opened to, before or after translation.'));

		src.datatype = dst.datatype = 'or(ipaddr("nomask"),cidr)';
		src.validate = function(id) {
			return exceptsAll((name) => this.section.formvalue(id, name)) ? nothingNamed() : true;
		};

		const proto = add(form.ListValue, 'proto', TITLES.proto());

		proto.value('', _('any'));
		proto.value('tcp', 'TCP');
		proto.value('udp', 'UDP');
		proto.default = '';

		const port = add(form.Value, 'port', TITLES.port(), _('Port that it was opened to, or a range such as 5060-5070.'));

		port.datatype = 'portrange';

		const device = add(form.Value, 'device', TITLES.device(), _('Its packets come in or go out by this device: a port, or a VLAN, bridge or PPPoE device on the way.'));

		device.placeholder = 'br-lan';
		device.validate = (id, value) => checkDevice(value);

		add(form.Value, 'mac', TITLES.mac(), _('A station that its frames come from or go to.')).datatype = 'macaddr';

		const mark = add(form.Value, 'mark', TITLES.mark(), _('VALUE or VALUE/MASK, decimal or with 0x.'));

		mark.placeholder = '0x100/0x100';
		mark.validate = (id, value) => checkMark(value);
	},

	memory(info) {
		const size = info?.memory_per_flow?.ipv4;

		if (!size)
			return _('At the most; more connections take the normal path.');

		return _('At the most; more connections take the normal path. A flow takes %d bytes of memory when it is learned, %d for IPv6.').format(size, info.memory_per_flow.ipv6);
	},

	mistakes: (errors) => errors?.length
		? show.notice('error', _('The configuration has errors'), errors.map((problem) => problem.text)) : null
});
