package mintonce

import "testing"

func TestWhatIsLocal(t *testing.T) {
	for target, want := range map[string]bool{
		"unix:/run/s": true, "unix-abstract:s": true, "localhost:1": true, "LOCALHOST": true, "127.0.0.1:1": true,
		"127.9.9.9": true, "[::1]:1": true, "::1": true, "dns:///localhost:1": true, "dns:localhost:1": true,
		"ipv4:127.0.0.1:1,127.0.0.2:1": true, "ipv6:[::1]:1": true, "[::ffff:127.0.0.1]:1": true, "passthrough:///127.0.0.1:1": true,
		"": false, "mintonce:1": false, "10.0.0.1:1": false, "ipv4:127.0.0.1:1,10.0.0.1:1": false,
		"dns://127.0.0.1/localhost:1": false, "localhost.example:1": false, "[::1": false, "[::1]x": false, "127.0.0.1.example:1": false,
		"xds:///localhost": false, "0.0.0.0:1": false,
	} {
		if got := isLocal(target); got != want {
			t.Errorf("%s: %t", target, got)
		}
	}
}

func TestVisibleTextObeysNoTerminal(t *testing.T) {
	for text, want := range map[string]string{
		"plain": "plain", "ünïcode": "ünïcode", "a\x1b[31mb": `a\x1b[31mb`, "a\nb": `a\nb`, "12345678901": "1234567...",
		"1234567890": "1234567890", "\u202e": `\u202e`,
	} {
		if got := visible(text, 10); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}
