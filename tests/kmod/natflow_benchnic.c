// SPDX-License-Identifier: GPL-2.0-only
/*
 * A network device that makes packets and swallows packets, for benchmarks: what lies between is
 * all that is measured. Devices are made with "ip link add NAME type natflow_bench".
 *
 * A request is written to the file natflow_bench in debugfs (struct request): the device receives
 * so many copies of a frame, in batches with softirqs off as a driver delivers them, and the time
 * that took is read back (struct answer) through the same open file. The device is looked up in
 * the network namespace of the writer.
 */
#include <linux/debugfs.h>
#include <linux/etherdevice.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/nsproxy.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/tcp.h>
#include <net/net_namespace.h>

#define BATCH		64
#define FRAME_MAX	256
#define HEAD_KEPT	64
#define PAYLOAD_ORDER	4

/**
 * struct request - what to receive
 * @ifindex: device of kind natflow_bench
 * @packets: how many; 0 only asks for the device's counters
 * @flows: the 16-bit number at @vary is raised by 0 to this less one, packet by packet
 * @vary: its offset in the frame
 * @payload: bytes that follow the frame, in a page of their own
 * @segment: with more payload than this it is a super-packet of such segments, as GRO makes it
 * @frame_len: bytes in @frame
 * @frame: link-layer header and what follows; its checksums are taken for verified
 */
struct request {
	u32	ifindex;
	u32	packets;
	u32	flows;
	u32	vary;
	u32	payload;
	u32	segment;
	u32	frame_len;
	u8	frame[FRAME_MAX];
};

/**
 * struct answer - what came of it
 * @ns: nanoseconds from the first to the last packet
 * @tx_packets: packets the device has been given to send since it was made
 * @tx_bytes: their bytes
 * @head: beginning of the last one
 */
struct answer {
	u64	ns;
	u64	tx_packets;
	u64	tx_bytes;
	u8	head[HEAD_KEPT];
};

struct benchnic {
	struct napi_struct	napi;
	u64			packets;
	u64			bytes;
	u8			head[HEAD_KEPT];
};

static struct page *payload_page;
static struct dentry *control;

static netdev_tx_t benchnic_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct benchnic *nic = netdev_priv(dev);

	nic->packets++;
	nic->bytes += skb->len;
	memcpy(nic->head, skb->data, min_t(unsigned int, skb_headlen(skb), HEAD_KEPT));
	dev_consume_skb_any(skb);
	return NETDEV_TX_OK;
}

static int benchnic_poll(struct napi_struct *napi, int budget)
{
	napi_complete(napi);
	return 0;
}

static int benchnic_open(struct net_device *dev)
{
	struct benchnic *nic = netdev_priv(dev);

	napi_enable(&nic->napi);
	netif_start_queue(dev);
	return 0;
}

static int benchnic_stop(struct net_device *dev)
{
	struct benchnic *nic = netdev_priv(dev);

	netif_stop_queue(dev);
	napi_disable(&nic->napi);
	return 0;
}

static const struct net_device_ops benchnic_ops = {
	.ndo_open = benchnic_open,
	.ndo_stop = benchnic_stop,
	.ndo_start_xmit = benchnic_xmit,
	.ndo_set_mac_address = eth_mac_addr,
	.ndo_validate_addr = eth_validate_addr,
};

static void benchnic_setup(struct net_device *dev)
{
	struct benchnic *nic = netdev_priv(dev);

	ether_setup(dev);
	eth_hw_addr_random(dev);
	dev->netdev_ops = &benchnic_ops;
	dev->needs_free_netdev = true;
	dev->features = NETIF_F_SG | NETIF_F_HW_CSUM | NETIF_F_HIGHDMA | NETIF_F_TSO |
			NETIF_F_TSO6 | NETIF_F_GSO_UDP_L4;
	dev->hw_features = dev->features;
	dev->max_mtu = ETH_MAX_MTU;
	netif_napi_add(dev, &nic->napi, benchnic_poll);
}

static struct rtnl_link_ops link_ops __read_mostly = {
	.kind = "natflow_bench",
	.priv_size = sizeof(struct benchnic),
	.setup = benchnic_setup,
};

/* As GRO leaves a super-packet; the frame ends with a TCP header without options. */
static void make_super(struct sk_buff *skb, const struct request *request)
{
	struct skb_shared_info *shinfo = skb_shinfo(skb);

	shinfo->gso_size = request->segment;
	shinfo->gso_segs = DIV_ROUND_UP(request->payload, request->segment);
	shinfo->gso_type = skb->protocol == htons(ETH_P_IP) ? SKB_GSO_TCPV4 : SKB_GSO_TCPV6;
	skb_set_transport_header(skb, skb_headlen(skb) - sizeof(struct tcphdr));
	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = skb_transport_header(skb) - skb->head;
	skb->csum_offset = offsetof(struct tcphdr, check);
}

static struct sk_buff *make_packet(struct net_device *dev, const struct request *request, u32 flow)
{
	struct benchnic *nic = netdev_priv(dev);
	struct sk_buff *skb;
	__be16 *varied;

	skb = napi_alloc_skb(&nic->napi, FRAME_MAX);
	if (!skb)
		return NULL;
	memcpy(skb_put(skb, request->frame_len), request->frame, request->frame_len);
	varied = (__be16 *)(skb->data + request->vary);
	be16_add_cpu(varied, flow);
	if (request->payload) {
		get_page(payload_page);
		skb_add_rx_frag(skb, 0, payload_page, 0, request->payload, request->payload);
	}
	skb->protocol = eth_type_trans(skb, dev);
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	if (request->segment && request->payload > request->segment)
		make_super(skb, request);
	return skb;
}

static int receive(struct net_device *dev, const struct request *request, struct answer *answer)
{
	u64 start = ktime_get_ns();
	u32 sent = 0, flow = 0;
	int err = 0;

	while (sent < request->packets && !err) {
		u32 end = min(sent + BATCH, request->packets);

		local_bh_disable();
		for (; sent < end; sent++) {
			struct sk_buff *skb = make_packet(dev, request, flow);

			if (!skb) {
				err = -ENOMEM;
				break;
			}
			if (++flow == request->flows)
				flow = 0;
			netif_receive_skb(skb);
		}
		local_bh_enable();
		cond_resched();
		if (signal_pending(current))
			err = -EINTR;
	}
	answer->ns = ktime_get_ns() - start;
	return err;
}

static int check(const struct request *request)
{
	if (request->frame_len < ETH_HLEN || request->frame_len > FRAME_MAX || !request->flows ||
	    request->vary > request->frame_len - sizeof(u16) || request->vary % sizeof(u16) ||
	    request->payload > PAGE_SIZE << PAYLOAD_ORDER)
		return -EINVAL;
	if (request->segment && request->frame_len < ETH_HLEN + sizeof(struct tcphdr))
		return -EINVAL;
	return 0;
}

static int serve(const struct request *request, struct answer *answer)
{
	struct net_device *dev;
	struct benchnic *nic;
	int err;

	dev = dev_get_by_index(current->nsproxy->net_ns, request->ifindex);
	if (!dev)
		return -ENODEV;
	err = -EOPNOTSUPP;
	if (dev->rtnl_link_ops != &link_ops)
		goto out;
	err = -ENETDOWN;
	if (!netif_running(dev))
		goto out;
	err = request->packets ? check(request) : 0;
	if (!err)
		err = receive(dev, request, answer);
	nic = netdev_priv(dev);
	answer->tx_packets = nic->packets;
	answer->tx_bytes = nic->bytes;
	memcpy(answer->head, nic->head, HEAD_KEPT);
out:
	dev_put(dev);
	return err;
}

static int control_open(struct inode *inode, struct file *file)
{
	struct answer *answer = kzalloc(sizeof(*answer), GFP_KERNEL);

	file->private_data = answer;
	return answer ? 0 : -ENOMEM;
}

static int control_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

static ssize_t control_write(struct file *file, const char __user *from, size_t size,
			     loff_t *offset)
{
	struct request *request;
	int err;

	if (size != sizeof(*request))
		return -EINVAL;
	request = memdup_user(from, size);
	if (IS_ERR(request))
		return PTR_ERR(request);
	err = serve(request, file->private_data);
	kfree(request);
	return err ? err : size;
}

static ssize_t control_read(struct file *file, char __user *to, size_t size, loff_t *offset)
{
	loff_t from_start = 0;

	return simple_read_from_buffer(to, size, &from_start, file->private_data,
				       sizeof(struct answer));
}

static const struct file_operations control_fops = {
	.owner = THIS_MODULE,
	.open = control_open,
	.release = control_release,
	.write = control_write,
	.read = control_read,
};

static int __init benchnic_init(void)
{
	int err;

	payload_page = alloc_pages(GFP_KERNEL | __GFP_COMP | __GFP_ZERO, PAYLOAD_ORDER);
	if (!payload_page)
		return -ENOMEM;
	err = rtnl_link_register(&link_ops);
	if (err) {
		__free_pages(payload_page, PAYLOAD_ORDER);
		return err;
	}
	control = debugfs_create_file("natflow_bench", 0600, NULL, NULL, &control_fops);
	return 0;
}

static void __exit benchnic_exit(void)
{
	debugfs_remove(control);
	rtnl_link_unregister(&link_ops);
	/* Packets that still refer to the page keep it. */
	put_page(payload_page);
}

module_init(benchnic_init);
module_exit(benchnic_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Packet source and sink for benchmarks");
MODULE_ALIAS_RTNL_LINK("natflow_bench");
