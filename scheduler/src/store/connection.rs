//! Connections that our statements are sent on. SQLite and PostgreSQL are sent them as they
//! are; MySQL and MariaDB in their own words ([`mysql`]).

use std::{
    pin::Pin,
    task::{Context, Poll},
    vec,
};

use sqlx::{
    Any, AnyConnection, AnyPool, Either, Execute, Executor, SqlStr,
    any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo},
    pool::PoolConnection,
};
use tokio_stream::Stream;

use super::{
    Dialect,
    mysql::{self, Answer},
};

type Answers<'e> = Pin<Box<dyn Stream<Item = Result<Answer, sqlx::Error>> + Send + 'e>>;
type Answering<'e, T> = Pin<Box<dyn Future<Output = Result<T, sqlx::Error>> + Send + 'e>>;

/// A connection, and what is spoken on it.
#[derive(Debug)]
pub(super) struct Connection<'c> {
    any: Held<'c>,
    dialect: Dialect,
}

#[derive(Debug)]
enum Held<'c> {
    Lent(&'c mut AnyConnection),
    Pooled(PoolConnection<Any>),
}

impl<'c> Connection<'c> {
    pub(super) fn new(any: &'c mut AnyConnection, dialect: Dialect) -> Self {
        Self { any: Held::Lent(any), dialect }
    }

    /// The connection itself, for what is no statement of ours.
    pub(super) fn any(&mut self) -> &mut AnyConnection {
        match &mut self.any {
            Held::Lent(connection) => connection,
            Held::Pooled(connection) => connection,
        }
    }
}

/// Connections of which each reads one thing at a time.
#[derive(Clone, Debug)]
pub(super) struct Readers {
    pool: AnyPool,
    dialect: Dialect,
}

impl Readers {
    pub(super) fn new(pool: AnyPool, dialect: Dialect) -> Self {
        Self { pool, dialect }
    }

    /// One of them, for several questions.
    pub(super) async fn acquire(&self) -> Result<Box<Connection<'static>>, sqlx::Error> {
        let any = Held::Pooled(self.pool.acquire().await?);
        Ok(Box::new(Connection { any, dialect: self.dialect }))
    }

    /// How many are open, and how many of these nobody uses.
    pub(super) fn open_and_idle(&self) -> (u32, usize) {
        (self.pool.size(), self.pool.num_idle())
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

/// A statement in the words of the database.
enum Said<E> {
    Same(E),
    Other(mysql::Statement),
}

/// Says a statement as a database understands it. One without parameters, not even none, is
/// meant for one database and left as it is.
fn say<'q, E: Execute<'q, Any>>(mut query: E, dialect: Dialect) -> Result<Said<E>, sqlx::Error> {
    if dialect != Dialect::Mysql {
        return Ok(Said::Same(query));
    }
    match query.take_arguments().map_err(sqlx::Error::Encode)? {
        None => Ok(Said::Same(query)),
        Some(arguments) => {
            let persistent = query.persistent();
            Ok(Said::Other(mysql::Statement::new(query.sql().as_str(), arguments, persistent)))
        }
    }
}

impl<'c> Executor<'c> for &'c mut Connection<'_> {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> Answers<'e>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let dialect = self.dialect;
        match say(query, dialect) {
            Ok(Said::Same(query)) => self.any().fetch_many(query),
            Ok(Said::Other(statement)) => match statement.single() {
                Some(single) => self.any().fetch_many(single),
                None => Box::pin(InSteps::Running(Box::pin(statement.run(self.any())))),
            },
            Err(error) => Box::pin(tokio_stream::once(Err(error))),
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> Answering<'e, Option<AnyRow>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let dialect = self.dialect;
        match say(query, dialect) {
            Ok(Said::Same(query)) => self.any().fetch_optional(query),
            Ok(Said::Other(statement)) => match statement.single() {
                Some(single) => self.any().fetch_optional(single),
                None => Box::pin(async move {
                    let answers = statement.run(self.any()).await?;
                    Ok(answers.into_iter().find_map(Either::right))
                }),
            },
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> Answering<'e, AnyStatement>
    where
        'c: 'e,
    {
        self.any().prepare_with(sql, parameters)
    }
}

/// Who reads changes nothing: each statement is one.
const CHANGES: &str = "a statement in steps is none of a reader's";

impl<'c> Executor<'c> for &'c Readers {
    type Database = Any;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> Answers<'e>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let error = match say(query, self.dialect) {
            Ok(Said::Same(query)) => return (&self.pool).fetch_many(query),
            Ok(Said::Other(statement)) => match statement.single() {
                Some(single) => return (&self.pool).fetch_many(single),
                None => sqlx::Error::Protocol(CHANGES.to_owned()),
            },
            Err(error) => error,
        };
        Box::pin(tokio_stream::once(Err(error)))
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> Answering<'e, Option<AnyRow>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let error = match say(query, self.dialect) {
            Ok(Said::Same(query)) => return (&self.pool).fetch_optional(query),
            Ok(Said::Other(statement)) => match statement.single() {
                Some(single) => return (&self.pool).fetch_optional(single),
                None => sqlx::Error::Protocol(CHANGES.to_owned()),
            },
            Err(error) => error,
        };
        Box::pin(std::future::ready(Err(error)))
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [AnyTypeInfo],
    ) -> Answering<'e, AnyStatement>
    where
        'c: 'e,
    {
        (&self.pool).prepare_with(sql, parameters)
    }
}

/// What a statement in steps answers, once it is done.
enum InSteps<'e> {
    Running(Answering<'e, Vec<Answer>>),
    Done(vec::IntoIter<Answer>),
}

impl Stream for InSteps<'_> {
    type Item = Result<Either<AnyQueryResult, AnyRow>, sqlx::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Self::Running(running) = &mut *self {
            let done = match running.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(done) => done,
            };
            match done {
                Ok(answers) => *self = Self::Done(answers.into_iter()),
                Err(error) => {
                    *self = Self::Done(Vec::new().into_iter());
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        match &mut *self {
            Self::Done(answers) => Poll::Ready(answers.next().map(Ok)),
            Self::Running(_) => Poll::Pending,
        }
    }
}
