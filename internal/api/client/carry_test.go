package client_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"argosy/internal/api/client"
	"argosy/internal/cluster"
)

// A request that no server has begun to read is carried to the next one, whole.
func TestTheNextServerIsAsked(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, err := io.ReadAll(r.Body)
		w.Header().Set("X-Told", r.Header.Get("X-Told"))
		_, _ = fmt.Fprintf(w, "%s %s of %s: %s, %v", r.Method, r.URL, r.Host, text, err)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = nobody.Close()
	c := client.New(client.Config{
		Addresses: []string{nobody.Addr().String(), server.Listener.Addr().String()}, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13},
	})
	defer c.Close()
	loopback := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := c.Carry(w, r); err != nil {
			t.Error(err)
		}
	}))
	defer loopback.Close()
	r, err := http.NewRequestWithContext(t.Context(), "PUT", loopback.URL+"/v2/keys/a?b=c", strings.NewReader("value=1"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Told", "this")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if want := "PUT /v2/keys/a?b=c of " + r.Host + ": value=1, <nil>"; err != nil || string(text) != want {
		t.Errorf("%q, %v; want %q", text, err, want)
	}
	if answer.Header.Get("X-Told") != "this" {
		t.Errorf("headers %v", answer.Header)
	}
}

func TestNoServerIsThereToCarryTo(t *testing.T) {
	c := client.New(client.Config{})
	w := httptest.NewRecorder()
	if err := c.Carry(w, httptest.NewRequest("GET", "/v2/keys/a", nil)); cluster.KindOf(err) != cluster.Unavailable || w.Body.Len() > 0 {
		t.Errorf("%v, %s", err, w.Body)
	}
	w = httptest.NewRecorder()
	client.RefuseGRPC(w, client.GRPCUnavailable, cluster.Errorf(cluster.Unavailable, "100 %% gone, \"all\""))
	if w.Code != 200 || w.Header().Get("Grpc-Status") != "14" || w.Header().Get("Grpc-Message") != "100%20%25%20gone%2C%20%22all%22" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}
