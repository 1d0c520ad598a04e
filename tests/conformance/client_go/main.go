// Command client_go drives a Kubernetes API by client-go, as controllers written in Go do.
//
// Each scenario reports what it saw as lines of JSON, for somebody else to judge, and ends with a
// code other than 0 when client-go itself failed.
//
// Usage: client_go SCENARIO NAMESPACE
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	corev1 "k8s.io/api/core/v1"
)

const patience = 90 * time.Second

// world is what every scenario works with.
type world struct {
	ctx       context.Context
	config    *rest.Config
	clients   kubernetes.Interface
	namespace string
	requests  *requests
	input     *bufio.Scanner
}

var scenarios = map[string]func(*world) error{
	"informers":    informers,
	"dynamic":      dynamicInformer,
	"restart":      restart,
	"gone":         gone,
	"pages":        pages,
	"queue":        queue,
	"leaders":      leaders,
	"apply":        apply,
	"discovery":    discover,
	"exec":         execute,
	"exec-spdy":    executeSpdy,
	"forward":      forward,
	"forward-spdy": forwardSpdy,
	"in-cluster":   inCluster,
	"events":       events,
	"rate":         rate,
	"clients":      otherClients,
}

func main() {
	if len(os.Args) != 3 || scenarios[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: client_go SCENARIO NAMESPACE")
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	w, err := newWorld(ctx, os.Args[1], os.Args[2])
	if err == nil {
		err = scenarios[os.Args[1]](w)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func newWorld(ctx context.Context, scenario, namespace string) (*world, error) {
	load := func() (*rest.Config, error) {
		return clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	}
	if scenario == "in-cluster" {
		load = rest.InClusterConfig
	}
	config, err := load()
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 500, 500
	config.ContentType = os.Getenv("CONTENT_TYPE")
	seen := &requests{}
	config.Wrap(seen.wrap)
	clients, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return &world{ctx, config, clients, namespace, seen, bufio.NewScanner(os.Stdin)}, nil
}

// report writes a line for whoever judges.
func report(what string, facts map[string]any) {
	line := map[string]any{"what": what}
	for name, value := range facts {
		line[name] = value
	}
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(text))
}

// told waits for a line of whoever judges.
func (w *world) told() error {
	if !w.input.Scan() {
		return fmt.Errorf("nobody says when to go on: %v", w.input.Err())
	}
	return nil
}

// until waits until a condition holds; it is looked at often, as informers tell nobody.
func (w *world) until(what string, holds func() bool) error {
	for !holds() {
		select {
		case <-w.ctx.Done():
			return fmt.Errorf("in vain waited for: %s", what)
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

// requests are those that went to the server.
type requests struct {
	mutex sync.Mutex
	seen  []string
}

func (r *requests) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(request)
		code, kind := 0, ""
		if err == nil {
			code, kind = response.StatusCode, response.Header.Get("Content-Type")
		}
		r.mutex.Lock()
		defer r.mutex.Unlock()
		r.seen = append(r.seen, fmt.Sprint(request.Method, " ", request.URL.RequestURI(), " ", code, " ", kind))
		return response, err
	})
}

// with returns the requests in which all the words occur.
func (r *requests) with(words ...string) []string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	found := []string{}
	for _, line := range r.seen {
		all := true
		for _, word := range words {
			all = all && strings.Contains(line, word)
		}
		if all {
			found = append(found, line)
		}
	}
	return found
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

func configMap(name string, data map[string]string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
}

func (w *world) createConfigMap(name string, data map[string]string) (*corev1.ConfigMap, error) {
	return w.clients.CoreV1().ConfigMaps(w.namespace).Create(
		w.ctx, configMap(name, data), metav1.CreateOptions{})
}

// decode reads a manifest from the standard input.
func (w *world) decode(into any) error {
	if err := w.told(); err != nil {
		return err
	}
	return json.Unmarshal(w.input.Bytes(), into)
}
