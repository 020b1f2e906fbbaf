// Does with Kubernetes' own client library what Kilo's agent does with it: looks for the CRD, follows Nodes and Peers by
// informers, writes its annotations by a strategic merge patch, takes them away by a JSON patch. Prints a line for each.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

const annotation = "kilo.squat.ai/last-seen"

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "failed:", err)
		os.Exit(1)
	}
}

func main() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Args[1])
	must(err)
	// Patches are JSON anyway; without this an object that is created travels as Protobuf.
	config.ContentType = "application/json"
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()

	crds, err := apiextensions.NewForConfig(config)
	must(err)
	crd, err := crds.ApiextensionsV1().CustomResourceDefinitions().Get(ctx, "peers.kilo.squat.ai", metav1.GetOptions{})
	must(err)
	fmt.Println("crd", crd.Name)

	client, err := kubernetes.NewForConfig(config)
	must(err)
	version, err := client.Discovery().ServerVersion()
	must(err)
	fmt.Println("version", version.Major+"."+version.Minor)
	resources, err := client.Discovery().ServerResourcesForGroupVersion("kilo.squat.ai/v1alpha1")
	must(err)
	fmt.Println("serves", resources.APIResources[0].Kind)

	seen := make(chan string, 100)
	// A real cluster has nodes of its own.
	tell := func(what, name, more string) {
		if strings.HasPrefix(name, "kilowire-") {
			seen <- strings.TrimSpace(what + " " + name + " " + more)
		}
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	nodes := factory.Core().V1().Nodes().Informer()
	_, err = nodes.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { tell("node added", obj.(*corev1.Node).Name, "") },
		UpdateFunc: func(_, obj any) {
			node := obj.(*corev1.Node)
			tell("node updated", node.Name, node.Annotations[annotation])
		},
		DeleteFunc: func(obj any) { tell("node deleted", obj.(*corev1.Node).Name, "") },
	})
	must(err)
	dyn, err := dynamic.NewForConfig(config)
	must(err)
	peerResource := schema.GroupVersionResource{Group: "kilo.squat.ai", Version: "v1alpha1", Resource: "peers"}
	peerFactory := dynamicinformer.NewDynamicSharedInformerFactory(dyn, 0)
	peers := peerFactory.ForResource(peerResource).Informer()
	_, err = peers.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { tell("peer added", obj.(*unstructured.Unstructured).GetName(), "") },
		DeleteFunc: func(obj any) { tell("peer deleted", obj.(*unstructured.Unstructured).GetName(), "") },
	})
	must(err)
	factory.Start(ctx.Done())
	peerFactory.Start(ctx.Done())
	if !cache.WaitForCacheSync(ctx.Done(), nodes.HasSynced, peers.HasSynced) {
		must(fmt.Errorf("the caches did not sync"))
	}
	fmt.Println("synced")
	next := func() {
		select {
		case line := <-seen:
			fmt.Println(line)
		case <-time.After(20 * time.Second):
			must(fmt.Errorf("nothing was told"))
		}
	}

	node, err := client.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "kilowire-n1"}, Spec: corev1.NodeSpec{PodCIDR: "10.42.0.0/24"}}, metav1.CreateOptions{})
	must(err)
	next()
	before, err := json.Marshal(node)
	must(err)
	node.Annotations = map[string]string{annotation: "1795233627"}
	after, err := json.Marshal(node)
	must(err)
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, corev1.Node{})
	must(err)
	_, err = client.CoreV1().Nodes().Patch(ctx, "kilowire-n1", types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	must(err)
	next()
	removal := []byte(`[{"op":"remove","path":"/metadata/annotations/kilo.squat.ai~1last-seen"}]`)
	_, err = client.CoreV1().Nodes().Patch(ctx, "kilowire-n1", types.JSONPatchType, removal, metav1.PatchOptions{})
	must(err)
	next()
	_, err = client.CoreV1().Nodes().Patch(ctx, "kilowire-n1", types.JSONPatchType, removal, metav1.PatchOptions{})
	fmt.Println("removed twice is refused:", err != nil)

	peer := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "kilo.squat.ai/v1alpha1", "kind": "Peer", "metadata": map[string]any{"name": "kilowire-p1"},
		"spec": map[string]any{"allowedIPs": []any{"10.5.0.1/32"}, "publicKey": "key"},
	}}
	_, err = dyn.Resource(peerResource).Create(ctx, peer, metav1.CreateOptions{})
	must(err)
	next()
	must(dyn.Resource(peerResource).Delete(ctx, "kilowire-p1", metav1.DeleteOptions{}))
	next()
	// Longer than bookmarks are apart: a stream that is only kept open by them is still the same one.
	time.Sleep(3 * time.Second)
	must(client.CoreV1().Nodes().Delete(ctx, "kilowire-n1", metav1.DeleteOptions{}))
	next()
}
