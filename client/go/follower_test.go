package mintonce

import (
	"bufio"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// vectors are made from the Python client: an event, the time and the jitter give a step and a state.
const vectors = "../../conformance/follower/*.jsonl"

type vectorToken struct {
	Generation int64   `json:"generation"`
	ExpiresAt  float64 `json:"expires_at"`
	RefreshAt  float64 `json:"refresh_at"`
}

type vectorError struct {
	Reason     string   `json:"reason"`
	RetryAfter *float64 `json:"retry_after"`
	Code       string   `json:"code"`
}

type vectorEvent struct {
	Do         string       `json:"do"`
	Now        float64      `json:"now"`
	Jitter     float64      `json:"jitter"`
	Token      *vectorToken `json:"token"`
	Error      *vectorError `json:"error"`
	StartedAt  float64      `json:"started_at"`
	Limit      float64      `json:"limit"`
	Generation int64        `json:"generation"`
	Expect     struct {
		Result any            `json:"result"`
		Step   map[string]any `json:"step"`
		State  map[string]any `json:"state"`
	} `json:"expect"`
}

type vector struct {
	Name   string        `json:"name"`
	Token  vectorToken   `json:"token"`
	Now    float64       `json:"now"`
	Jitter float64       `json:"jitter"`
	Events []vectorEvent `json:"events"`
}

func TestFollowerVectors(t *testing.T) {
	pattern := vectors
	if given := os.Getenv("MINTONCE_TEST_VECTORS"); given != "" {
		pattern = given
	}
	files, _ := filepath.Glob(pattern)
	if _, err := os.Stat("../../conformance"); len(files) == 0 && err == nil {
		t.Fatal("no vectors in ", vectors)
	}
	if len(files) == 0 {
		t.Skip("the vectors are in the repository, not in the module")
	}
	for _, path := range files {
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = file.Close() }()
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 1<<24)
		for lines.Scan() {
			var v vector
			if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			t.Run(v.Name, func(t *testing.T) { replay(t, v) })
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func replay(t *testing.T, v vector) {
	jitter := v.Jitter
	f := newFollower(v.Token.token(), v.Now, func() float64 { return jitter })
	for i, event := range v.Events {
		jitter = event.Jitter
		result := apply(t, f, event)
		if !same(event.Expect.Result, result) {
			t.Fatalf("event %d, %s: result %v, want %v", i, event.Do, result, event.Expect.Result)
		}
		if step := stepOf(f.next(event.Now)); !same(event.Expect.Step, step) {
			t.Fatalf("event %d, %s: step %v, want %v", i, event.Do, step, event.Expect.Step)
		}
		if state := stateOf(f, event.Now); !same(event.Expect.State, state) {
			t.Fatalf("event %d, %s: state %v, want %v", i, event.Do, state, event.Expect.State)
		}
	}
}

func apply(t *testing.T, f *follower, event vectorEvent) any {
	raised := func(err *Error) any {
		if err == nil {
			return nil
		}
		return map[string]any{"error": err.Reason}
	}
	switch event.Do {
	case "offer":
		return f.offer(event.Token.token(), event.Now)
	case "fetched":
		return f.fetched(event.Token.token(), event.Now)
	case "fetch_failed":
		f.fetchFailed(event.Error.error(t), event.Now)
	case "watch_ended":
		f.watchEnded(event.Error.error(t), event.StartedAt, event.Limit, event.Now)
	case "want_report":
		return raised(f.wantReport(event.Generation, event.Now))
	case "reported":
		f.reported(event.Generation, event.Now)
	case "report_failed":
		f.reportFailed(event.Error.error(t), event.Now)
	case "hurry":
		err := f.hurry(event.Now)
		if err != nil && (err.RetryAfter != f.lastError.RetryAfter || err.Code != f.lastError.Code) {
			t.Errorf("hurry: %#v after %#v", err, f.lastError)
		}
		return raised(err)
	case "successor":
		return generationOf(f.successor(event.Generation, event.Now))
	case "look":
	default:
		t.Fatalf("no event is called %s", event.Do)
	}
	return nil
}

func (v *vectorToken) token() *Token {
	token := newToken("secret", "Bearer")
	token.generation, token.expiresAt, token.refreshAt = v.Generation, v.ExpiresAt, v.RefreshAt
	return token
}

func (v *vectorError) error(t *testing.T) *Error {
	if v == nil {
		return nil
	}
	err := &Error{Reason: v.Reason, Message: v.Reason}
	if v.RetryAfter != nil {
		err.RetryAfter = duration(*v.RetryAfter)
	}
	if e := err.Code.UnmarshalJSON([]byte(`"` + v.Code + `"`)); e != nil {
		t.Fatal(e)
	}
	return err
}

func stepOf(s step) map[string]any {
	switch s.do {
	case doReport:
		return map[string]any{"do": "report", "generation": float64(s.generation)}
	case doFetch:
		return map[string]any{"do": "fetch"}
	case doWatch:
		return map[string]any{"do": "watch", "limit": s.seconds}
	}
	return map[string]any{"do": "pause", "seconds": s.seconds}
}

func stateOf(f *follower, now float64) map[string]any {
	return map[string]any{
		"token": generationOf(f.token), "live": generationOf(f.live(now)),
		"last_error": reasonOf(f.lastError), "report_error": reasonOf(f.reportError),
		"setbacks": float64(f.setbacks), "report_setbacks": float64(f.reportSetbacks),
		"fetch_at": f.fetchAt, "watch_at": f.watchAt,
		"fetch_failures": float64(f.fetchFailures), "watch_failures": float64(f.watchFailures),
		"wanted_report": float64(f.wantedReport), "rejected": float64(f.rejected), "blocked_until": f.blockedUntil,
	}
}

func generationOf(token *Token) any {
	if token == nil {
		return nil
	}
	return float64(token.generation)
}

func reasonOf(err *Error) any {
	if err == nil {
		return nil
	}
	return err.Reason
}

// same compares JSON values; numbers to a microsecond.
func same(want, got any) bool {
	switch want := want.(type) {
	case map[string]any:
		got, is := got.(map[string]any)
		if !is || len(got) != len(want) {
			return false
		}
		for name := range want {
			if !same(want[name], got[name]) {
				return false
			}
		}
		return true
	case float64:
		got, is := got.(float64)
		return is && math.Abs(got-want) <= 1e-6
	}
	return want == got
}

func TestReasonsHaveTheClassesOfTheSpecification(t *testing.T) {
	for reason, class := range classOfReason {
		if class != nil && class != ErrRefused && class != ErrUnavailable {
			t.Errorf("%s is %v", reason, class)
		}
	}
}
