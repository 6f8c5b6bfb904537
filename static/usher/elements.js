/**
 * All elements of a page: the one script that `{% usher_head %}` asks for.
 *
 * @module
 */

import { UsherBell } from "./bell.js";
import { UsherDevices } from "./devices.js";
import { UsherInbox } from "./inbox.js";
import { UsherPreferences } from "./preferences.js";
import { UsherStatus } from "./status.js";
import { UsherToasts } from "./toasts.js";

customElements.define("usher-status", UsherStatus);
customElements.define("usher-bell", UsherBell);
customElements.define("usher-toasts", UsherToasts);
customElements.define("usher-inbox", UsherInbox);
customElements.define("usher-devices", UsherDevices);
customElements.define("usher-preferences", UsherPreferences);
