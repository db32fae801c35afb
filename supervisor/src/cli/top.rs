//! A live view of all workers in a terminal.

use std::{
    io::{self, IsTerminal},
    pin::pin,
    process::ExitCode,
    time::{Duration, Instant},
};

use crossterm::event::{Event, EventStream, KeyEventKind};
use etl_shared::api::FleetStatus;
use futures_util::{
    FutureExt, StreamExt,
    future::{Fuse, FusedFuture},
};
use miette::{IntoDiagnostic, Report};
use ratatui::DefaultTerminal;
use tokio::{
    signal::unix::{SignalKind, signal},
    time,
};

use super::{Client, ClientError, Place, output};

mod draw;
mod model;

use model::{Model, Then};

const STATUS: &str = "/api/v1/admin/workers/status";

/// `top`
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Print what there is now as plain text, as without a terminal
    #[arg(long)]
    once: bool,
    /// Seconds between two looks
    #[arg(short, long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    delay: u64,
}

/// Shows the workers until `q`, or once where nobody looks.
pub(super) async fn top(place: &Place, arguments: &Arguments) -> Result<ExitCode, Report> {
    let client = place.client()?;
    let mut model = Model::default();
    // Before the screen is cleared: what is wrong stays readable.
    model.take(look(&client).await.into_diagnostic()?, Instant::now());
    if arguments.once || !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        output::bytes(draw::plain(&model).as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    // Also gives the terminal back when something panics.
    let mut terminal = ratatui::try_init().into_diagnostic()?;
    let shown = show(&mut terminal, &client, &mut model, Duration::from_secs(arguments.delay)).await;
    ratatui::restore();
    shown.into_diagnostic()?;
    Ok(ExitCode::SUCCESS)
}

async fn look(client: &Client) -> Result<FleetStatus, ClientError> {
    client.get(STATUS).await
}

async fn show(terminal: &mut DefaultTerminal, client: &Client, model: &mut Model, every: Duration) -> io::Result<()> {
    let in_colour = output::in_colour();
    let mut keys = EventStream::new();
    let (mut terminated, mut hung_up) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let mut again = time::interval(every);
    again.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    again.tick().await;
    // Waited for beside everything else: a supervisor that does not answer keeps nobody from leaving.
    let mut answer = pin!(Fuse::terminated());
    loop {
        terminal.draw(|frame| draw::screen(frame, model, in_colour))?;
        tokio::select! {
            key = keys.next() => match key {
                Some(Ok(Event::Key(key))) if key.kind != KeyEventKind::Release => {
                    if model.press(key) == Then::Leave {
                        return Ok(());
                    }
                }
                // The terminal has another size, or something that is none of our business: drawn again.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            },
            _ = again.tick(), if answer.is_terminated() => answer.set(look(client).fuse()),
            fleet = &mut answer => match fleet {
                Ok(fleet) => model.take(fleet, Instant::now()),
                Err(error) => model.lost(error.to_string()),
            },
            _ = terminated.recv() => return Ok(()),
            _ = hung_up.recv() => return Ok(()),
        }
    }
}
