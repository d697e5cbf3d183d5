//! The gateway of `examples/linux_gateway.rs`, left alone for ten minutes with
//! all that can happen to it, and for hours after that. Virtual time.

#[path = "../examples/linux_gateway.rs"]
#[allow(dead_code, reason = "its main is not run")]
mod linux_gateway;

use std::{
    cell::RefCell,
    collections::BTreeSet,
    future::Future,
    io,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use embedded_io_adapters::tokio_1::FromTokio;
use hayes::mqtt::{ConnectOptions, Message};
use hayes_emulator::{
    network::{Loopback, Network, Reply, Request},
    serve::{self, Control, Hooks},
    simcom::{BootState, Config},
};
use linux_gateway::Gateway;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split},
    sync::mpsc,
    time::{Instant, sleep},
};

/// A broker that the test looks into while the modem talks to it.
#[derive(Clone, Default)]
struct Broker(Rc<RefCell<Loopback>>);

impl Network for Broker {
    fn request(&mut self, request: Request) {
        self.0.borrow_mut().request(request);
    }

    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Reply> {
        let reply = self.0.borrow_mut().poll_reply(cx);
        if reply.is_pending() {
            // The test publishes without telling anybody: look again soon.
            let waker = cx.waker().clone();
            tokio::task::spawn_local(async move {
                sleep(Duration::from_millis(100)).await;
                waker.wake();
            });
        }
        reply
    }
}

/// A port that is there or not. What the modem says while it is away is lost.
#[derive(Clone, Default)]
struct Port(Rc<RefCell<Socket>>);

#[derive(Default)]
struct Socket {
    gone: bool,
    host: Option<DuplexStream>,
}

impl Port {
    /// What opens it: its other end carries bytes until it is unplugged.
    fn open(&self) -> io::Result<DuplexStream> {
        if self.0.borrow().gone {
            return Err(io::ErrorKind::NotFound.into());
        }
        let (host, wire) = duplex(64);
        self.0.borrow_mut().host = Some(wire);
        Ok(host)
    }

    /// Carries bytes to and from the modem for ever.
    async fn carry(self, mut modem: DuplexStream) {
        let (mut up, mut down) = ([0; 64], [0; 64]);
        loop {
            let host = self.0.borrow_mut().host.take();
            let Some(mut host) = host else {
                tokio::select! {
                    _ = modem.read(&mut up) => {}
                    () = sleep(Duration::from_millis(50)) => {}
                }
                continue;
            };
            while !self.0.borrow().gone {
                let done = tokio::select! {
                    count = host.read(&mut down) => match count {
                        Ok(count) if count > 0 => modem.write_all(&down[..count]).await,
                        _ => break,
                    },
                    count = modem.read(&mut up) => match count {
                        Ok(count) if count > 0 => host.write_all(&up[..count]).await,
                        _ => return,
                    },
                    () = sleep(Duration::from_millis(50)) => Ok(()),
                };
                if done.is_err() {
                    break;
                }
            }
        }
    }
}

/// xorshift64*, below `n`.
fn random(state: &mut u64, n: u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % n
}

/// Ten minutes of trouble, two of peace; what happened.
async fn live_through(seed: u64) -> String {
    let broker = Broker::default();
    let port = Port::default();
    let (control, controlled) = mpsc::unbounded_channel();
    let (modem, wire) = duplex(4096);
    let config = Config { boot: BootState::ColdBoot, ..Config::default() };
    let hooks = Hooks { control: Some(controlled), ..Hooks::default() };
    let emulated = serve::on_duplex_with(wire, config, broker.clone(), hooks);
    tokio::task::spawn_local(async move { emulated.await.expect("a modem") });
    tokio::task::spawn_local(port.clone().carry(modem));

    let heard = Rc::new(RefCell::new(Vec::new()));
    let ears = Rc::clone(&heard);
    let gateway = Gateway {
        options: ConnectOptions::new("broker.example", 1883, "gateway-1").unwrap(),
        filter: "gateway-1/command",
        topic: "gateway-1/count",
        count: 1,
        print: move |message: &Message<'_>| ears.borrow_mut().push(message.payload.to_vec()),
    };
    let opened = port.clone();
    let open = async move || {
        let (rx, tx) = split(opened.open()?);
        io::Result::Ok((FromTokio::new(rx), FromTokio::new(tx)))
    };
    let machine = hayes_simcom::machine::<512, 16_384>(Default::default());
    let gateway = tokio::task::spawn_local(async move { gateway.run(machine, open).await });

    let mut state = seed;
    let mut troubles = 0;
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(600) {
        sleep(Duration::from_millis(random(&mut state, 40_000))).await;
        let (client, cause) = (0, 1 + random(&mut state, 3) as u8);
        match random(&mut state, 6) {
            0 => {
                port.0.borrow_mut().gone = true;
                sleep(Duration::from_millis(random(&mut state, 30_000))).await;
                port.0.borrow_mut().gone = false;
            }
            1 => control.send(Control::Reboot).unwrap(),
            2 => control.send(Control::PowerCycle).unwrap(),
            3 => {
                broker.0.borrow_mut().lose(client, cause);
                broker.0.borrow_mut().fail_next(3);
            }
            4 => {
                control.send(Control::Network(false)).unwrap();
                sleep(Duration::from_millis(random(&mut state, 20_000))).await;
                control.send(Control::Network(true)).unwrap();
            }
            _ => {
                broker.0.borrow_mut().hold();
                sleep(Duration::from_millis(random(&mut state, 10_000))).await;
                broker.0.borrow_mut().resume();
            }
        }
        troubles += 1;
    }
    sleep(Duration::from_secs(300)).await;
    broker.0.borrow_mut().publish(b"gateway-1/command", b"are you there", false);
    sleep(Duration::from_secs(180)).await;
    assert!(!gateway.is_finished(), "seed {seed}: it gave up");
    gateway.abort();

    let published: Vec<u32> = broker
        .0
        .borrow()
        .published()
        .iter()
        .filter(|message| message.topic == b"gateway-1/count")
        .map(|message| String::from_utf8_lossy(&message.payload).parse().expect("a number"))
        .collect();
    let last = published.last().copied().unwrap_or_default();
    let all: BTreeSet<_> = published.iter().copied().collect();
    assert_eq!(all, (1..=last).collect(), "seed {seed}: a number is missing");
    let heard = heard.borrow();
    assert_eq!(heard.last().map(Vec::as_slice), Some(&b"are you there"[..]), "seed {seed}");
    let minutes = began.elapsed().as_secs() / 60;
    assert!(last >= 5, "seed {seed}: {last} numbers in {minutes} minutes");
    format!(
        "seed {seed}: {troubles} troubles, {last} numbers in {minutes} minutes, {} twice",
        published.len() - all.len()
    )
}

fn virtually<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test)
}

#[test]
fn a_gateway_that_is_left_alone_comes_back_from_everything() {
    for seed in 1..=4 {
        println!("{}", virtually(live_through(seed)));
    }
}
