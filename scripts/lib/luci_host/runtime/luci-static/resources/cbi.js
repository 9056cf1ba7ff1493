// SPDX-License-Identifier: GPL-2.0-only
/* The globals of LuCI's cbi.js that the app uses: _(), and String.prototype.format(). */
'use strict';

window._ = function(text, context) {
	const key = (context == null ? '' : context + '\u0001') + text;

	return (window.TR && window.TR[key]) || text;
};

(function() {
	const DIRECTIVE = /%('.|0| )?(-)?(\d+)?(?:\.(\d+))?([%dufsxXhm])/g;
	const UNITS = [ ' ', ' K', ' M', ' G', ' T', ' P', ' E' ];
	const ENTITIES = { '&': '&#38;', '"': '&#34;', '\'': '&#39;', '<': '&#60;', '>': '&#62;' };

	/* %1024.2m: the width is the step from one unit to the next. */
	function metric(value, step, digits) {
		let unit = 0;

		for (; unit < UNITS.length - 1 && value > step; unit++)
			value /= step;

		return unit ? value.toFixed(digits) + UNITS[unit] + (step == 1024 ? 'i' : '') : value + ' ';
	}

	String.prototype.format = function(...values) {
		let next = 0;

		return this.replace(DIRECTIVE, (all, fill, left, width, digits, type) => {
			if (type == '%')
				return '%';

			const value = values[next++];
			let text;

			switch (type) {
			case 'd':
			case 'u': text = Math.floor(+value || 0).toFixed(0); break;
			case 'f': text = digits == null ? String(+value || 0) : (+value || 0).toFixed(+digits); break;
			case 'x': text = Math.floor(+value || 0).toString(16); break;
			case 'X': text = Math.floor(+value || 0).toString(16).toUpperCase(); break;
			case 'h': text = String(value ?? '').replace(/[&"'<>]/g, (found) => ENTITIES[found]); break;
			case 'm': return metric(+value || 0, width ? +width : 1000, digits == null ? 2 : +digits);
			default: text = String(value ?? '');
			}

			const padding = fill == '0' ? '0' : ' ';

			return left ? text.padEnd(+width || 0) : text.padStart(+width || 0, padding);
		});
	};
})();
