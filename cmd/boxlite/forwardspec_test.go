package main

import "testing"

func TestParseForward(t *testing.T) {
	for text, want := range map[string]forwardSpec{
		"8080:80":                {endpoint{"tcp", "127.0.0.1:8080"}, endpoint{"tcp", "127.0.0.1:80"}},
		"0:80":                   {endpoint{"tcp", "127.0.0.1:0"}, endpoint{"tcp", "127.0.0.1:80"}},
		"0.0.0.0:8080:80":        {endpoint{"tcp", "0.0.0.0:8080"}, endpoint{"tcp", "127.0.0.1:80"}},
		"localhost:8080:80":      {endpoint{"tcp", "127.0.0.1:8080"}, endpoint{"tcp", "127.0.0.1:80"}},
		"[::1]:8080:80":          {endpoint{"tcp", "[::1]:8080"}, endpoint{"tcp", "127.0.0.1:80"}},
		"8080:unix:/run/s":       {endpoint{"tcp", "127.0.0.1:8080"}, endpoint{"unix", "/run/s"}},
		"unix:/tmp/s:80":         {endpoint{"unix", "/tmp/s"}, endpoint{"tcp", "127.0.0.1:80"}},
		"unix:/tmp/s:unix:/a:b":  {endpoint{"unix", "/tmp/s"}, endpoint{"unix", "/a:b"}},
		"127.0.0.1:1:unix:/run/": {endpoint{"tcp", "127.0.0.1:1"}, endpoint{"unix", "/run/"}},
	} {
		if got, err := parseForward(text); err != nil || got != want {
			t.Errorf("%s is %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "80", ":", "80:", ":80", "x:80", "80:x", "80:65536", "-1:80", "example.com:80:80", "unix:/tmp/s", "unix::80", "80:unix:",
		"80:unix:relative",
	} {
		if got, err := parseForward(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}
