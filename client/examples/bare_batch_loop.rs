//! A bare `rd_kafka_consume_batch_queue` loop: the fastest way there is to read a topic through librdkafka, and what the
//! benchmarks measure every other loop against.
//!
//! `bare_batch_loop <topic> <records> <setting>=<value>…` reads that many records and prints one line:
//! `measured cpu_seconds=… peak_kib=… records=… seconds=…`.

use std::error::Error;
use std::ffi::{CStr, CString, c_char};
use std::process::ExitCode;
use std::ptr;
use std::time::{Duration, Instant};

use rdkafka_sys as rdsys;
use rustix::time::{ClockId, clock_gettime};

/// What one call takes at most.
const BATCH_RECORDS: usize = 4096;
const TIMEOUT_MILLIS: i32 = 100;
const NO_ERROR: rdsys::rd_kafka_resp_err_t = rdsys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), Box<dyn Error>> {
    let [topic, wanted, settings @ ..] = arguments else {
        return Err("usage: bare_batch_loop <topic> <records> <setting>=<value>…".into());
    };
    let wanted: usize = wanted.parse()?;
    let mut consumer = Consumer::new(settings)?;
    consumer.subscribe(topic)?;
    let (mut records, mut bytes, mut since) = (0, 0, None);
    while records < wanted {
        let (taken, length) = consumer.take_batch()?;
        if taken > 0 {
            since.get_or_insert_with(|| (Instant::now(), cpu_time()));
        }
        records += taken;
        bytes += length;
    }
    let (started, cpu_before) = since.ok_or("there were no records")?;
    let (seconds, cpu_seconds) =
        (started.elapsed().as_secs_f64(), cpu_time().saturating_sub(cpu_before).as_secs_f64());
    std::hint::black_box(bytes);
    let peak_kib = peak_kib()?;
    println!("measured cpu_seconds={cpu_seconds} peak_kib={peak_kib} records={records} seconds={seconds}");
    Ok(())
}

/// A group consumer and its queue.
struct Consumer {
    client: *mut rdsys::rd_kafka_t,
    queue: *mut rdsys::rd_kafka_queue_t,
    /// Where librdkafka writes a batch.
    messages: Vec<*mut rdsys::rd_kafka_message_t>,
}

impl Consumer {
    fn new(settings: &[String]) -> Result<Self, Box<dyn Error>> {
        let mut text = [0; 512];
        // SAFETY: no preconditions. The configuration is leaked where a setting is wrong, and the program ends then.
        let config = unsafe { rdsys::rd_kafka_conf_new() };
        for setting in settings {
            let (name, value) = setting.split_once('=').ok_or_else(|| format!("`{setting}` has no value"))?;
            let (name, value) = (CString::new(name)?, CString::new(value)?);
            // SAFETY: configuration and strings are live; the text is as long as it says.
            let result = unsafe {
                rdsys::rd_kafka_conf_set(config, name.as_ptr(), value.as_ptr(), text.as_mut_ptr(), text.len())
            };
            if result != rdsys::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
                return Err(message(&text).into());
            }
        }
        let kind = rdsys::rd_kafka_type_t::RD_KAFKA_CONSUMER;
        // SAFETY: the configuration is live and handed over.
        let client = unsafe { rdsys::rd_kafka_new(kind, config, text.as_mut_ptr(), text.len()) };
        if client.is_null() {
            return Err(message(&text).into());
        }
        // SAFETY: the client is live; the queue is a new reference.
        let queue = unsafe {
            rdsys::rd_kafka_poll_set_consumer(client);
            rdsys::rd_kafka_queue_get_consumer(client)
        };
        Ok(Self { client, queue, messages: vec![ptr::null_mut(); BATCH_RECORDS] })
    }

    fn subscribe(&self, topic: &str) -> Result<(), Box<dyn Error>> {
        let topic = CString::new(topic)?;
        // SAFETY: client and name are live; the list is destroyed after its last use.
        let code = unsafe {
            let list = rdsys::rd_kafka_topic_partition_list_new(1);
            rdsys::rd_kafka_topic_partition_list_add(list, topic.as_ptr(), -1);
            let code = rdsys::rd_kafka_subscribe(self.client, list);
            rdsys::rd_kafka_topic_partition_list_destroy(list);
            code
        };
        if code == NO_ERROR { Ok(()) } else { Err(format!("subscribe: {code:?}").into()) }
    }

    /// Takes a batch, looks at its payloads and frees it; returns the number of records and their bytes.
    fn take_batch(&mut self) -> Result<(usize, usize), Box<dyn Error>> {
        // SAFETY: the queue is live and the vector has the room that is told.
        let taken = unsafe {
            rdsys::rd_kafka_consume_batch_queue(
                self.queue,
                TIMEOUT_MILLIS,
                self.messages.as_mut_ptr(),
                self.messages.len(),
            )
        };
        let taken = usize::try_from(taken).map_err(|_| "the batch could not be taken")?;
        let mut bytes = 0;
        for &message in &self.messages[..taken] {
            // SAFETY: each message is live and owned; it is read before it is destroyed, and destroyed once.
            let (code, length) = unsafe {
                let read = ((*message).err, (*message).len);
                rdsys::rd_kafka_message_destroy(message);
                read
            };
            if code != NO_ERROR {
                return Err(format!("consume: {code:?}").into());
            }
            bytes += length;
        }
        Ok((taken, bytes))
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        // SAFETY: both are live and owned; the queue goes before its client.
        unsafe {
            rdsys::rd_kafka_consumer_close(self.client);
            rdsys::rd_kafka_queue_destroy(self.queue);
            rdsys::rd_kafka_destroy(self.client);
        }
    }
}

fn message(text: &[c_char]) -> String {
    // SAFETY: librdkafka ends its texts with a zero byte, and the array was zeroed before.
    unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned()
}

fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

fn peak_kib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    Ok(peak.ok_or("`/proc` has no `VmHWM`")?.trim().parse()?)
}
